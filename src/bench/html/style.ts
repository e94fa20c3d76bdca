/** The look of report pages: light and dark, no font or script from outside. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1c2330;--dim:#5d6675;--line:#d9dee6;--card:#f5f7fa;--paper:#fff;--c0:#2563c9;--c1:#d9622b;--c2:#2b8a57;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#9aa4b4;--line:#343b47;--card:#1d222b;--paper:#14181f;--c0:#6ea2ff;--c1:#ff9a68;--c2:#63cf95;--mark:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}h1{font-size:26px;margin:0 0 6px}h2{font-size:18px;margin:30px 0 10px}
p{margin:4px 0;color:var(--dim)}.lead{color:var(--ink);font-size:16px}.notes{border-left:3px solid var(--c1);margin:14px 0;padding:2px 0 2px 28px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:10px;margin:20px 0}
.tile{background:var(--card);border-radius:8px;padding:12px 14px;display:flex;flex-direction:column}.tile span,.tile small{color:var(--dim);font-size:13px}.tile b{font-size:21px;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0}th,td{padding:5px 14px 5px 0;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:500}
.plots{display:grid;margin-top:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:14px}svg{width:100%;background:var(--card);border-radius:8px}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}svg .title{fill:var(--ink);font-size:13px;font-weight:600}.grid{stroke:var(--line);stroke-width:.6}.axis{stroke:var(--dim);fill:none}
.line{fill:none;stroke-width:1.8}.line.s0{stroke:var(--c0)}.line.s1{stroke:var(--c1)}.line.s2{stroke:var(--c2)}.bar.s0{fill:var(--c0)}.mark{stroke:var(--mark);stroke-dasharray:4 3}svg .mark-name{fill:var(--mark)}
footer{margin-top:36px;color:var(--dim);font-size:13px}`;
