import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { Timings, timingMetric } from './timings.ts';

it('reads like a histogram of Prometheus: cumulative buckets, bounds included, sum and count', async () => {
  const timings = new Timings([0.1, 1]);
  for (const ms of [50, 100, 999, 5_000]) timings.observe(ms);
  const registry = new Registry();
  const metric = timingMetric('a_seconds', 'Of a test.', (name) => timings.values(name, { of: 'x' }));
  registry.registerMetric(metric as never);
  expect(await registry.metrics()).toBe(
    [
      '# HELP a_seconds Of a test.',
      '# TYPE a_seconds histogram',
      'a_seconds_bucket{of="x",le="0.1"} 2',
      'a_seconds_bucket{of="x",le="1"} 3',
      'a_seconds_bucket{of="x",le="+Inf"} 4',
      'a_seconds_sum{of="x"} 6.149',
      'a_seconds_count{of="x"} 4',
      '',
    ].join('\n'),
  );
});

it('shows nothing before the first', () => {
  expect(new Timings([1]).values('a', {})).toEqual([]);
});
