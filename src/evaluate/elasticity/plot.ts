import { linePlot } from '../../bench/html/plot.ts';
import { type PolicyReport, paretoOf } from '../elasticity.ts';

/** Below this nobody would sell. */
const SHOWN_FROM = 0.9;
const COLOURS = ['#8a8a8a', '#2f81f7', '#d29922', '#a371f7', '#db61a2', '#3fb950', '#f0554b'];

/** Unit-hours over attainment of the runs that no other run of the same policy beats: an SVG of its own, for light and dark. */
export function paretoSvg(title: string, reports: readonly PolicyReport[]): string {
  const series = reports.map(({ policy, runs }) => ({
    name: policy,
    points: paretoOf(runs)
      .filter(({ sloAttainment }) => sloAttainment >= SHOWN_FROM)
      .map(({ sloAttainment, unitHours }) => [100 * sloAttainment, unitHours] as const),
  }));
  const axes = { title, xLabel: 'requests in time, %', yLabel: 'unit-hours, launch to release' };
  return linePlot(axes, series).replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ').replace('>', `>${STYLE}`);
}

const STYLE = `<style>
svg{background:#fff}text{font:11px sans-serif;fill:#1f2328}.title{font-weight:600}
.line{fill:none;stroke-width:2}.grid{stroke:#d0d7de}.axis{fill:none;stroke:#656d76}
${COLOURS.map((colour, index) => `.s${index}{stroke:${colour}}`).join('')}
@media (prefers-color-scheme: dark){svg{background:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}.axis{stroke:#8b949e}}
</style>`;
