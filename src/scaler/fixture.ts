import { newId } from '../control/call.ts';
import { scalingDecisions } from '../control/elastic/decisions.ts';
import { scalingUnits } from '../control/elastic/list-units.ts';
import { ruleSet } from '../control/elastic/set.ts';
import { ruleShow } from '../control/elastic/show.ts';
import { endpointCreate } from '../control/endpoint/create.ts';
import { OPERATOR, testControl } from '../control/fixture.ts';
import { groupShow } from '../control/group/show.ts';
import { Scaler } from './loop.ts';
import type { ServedSignals } from './observe.ts';

const STARTUP_MS = 60_000;
export const RULE = { maxUnits: 6, scaleInAfterMs: 60_000, drainMsMax: 120_000 };

/** A group of `units` with a rule, a fleet that is told when its units are ready, and a load that the test sets. */
export async function elastic(units = 1, rule: object = RULE, templateId = 'alpha-local') {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  const models = [{ modelId: 'alpha', templateId, units }];
  const { groups, endpointId } = await control.call(endpointCreate, manager, { name: 'elastic', models });
  const { groupId, servedModelId } = groups[0]!;
  const running = new Map<string, number>();
  const unfit = new Map<string, string>();
  const provisioner = control.provisioner({ runningOn: (id) => running.get(id) ?? 0 });
  await control.provisioned(provisioner);
  await control.call(ruleSet, manager, { groupId, ...RULE, ...rule });
  const load = { perUnit: 0, signalAgeMs: 0, queued: 0 };
  const signals = (): ServedSignals => {
    for (const { replicaId, state } of control.fleet.list())
      running.set(replicaId, state === 'ready' ? load.perUnit : 0);
    const none = { arrivals: 0, arrivedUs: 0, refused: 0, completed: 0, prefillUs: 0 };
    const times = { ttftMsSum: 0, ttftCount: 0, tpotMsSum: 0, tpotCount: 0 };
    const pools = { batchPerUnit: 8, kvTokensPerUnit: 16_384, kvTokensLikely: 0, prefillStretch: 1 };
    return { servedModelId, ...pools, ...none, ...times, queued: load.queued, queuedUs: 0, runningOn: running, unfit };
  };
  const scalerOf = (holder: string, ids = newId) =>
    new Scaler({
      ...control.deps,
      newId: ids,
      holder,
      startupMsOf: () => STARTUP_MS,
      signals: () => [{ gatewayId: 'g', atMs: control.nowMs - load.signalAgeMs, servedModels: [signals()] }],
    });
  const scaler = scalerOf('one');
  /** So many seconds of decisions every 5 s, with the fleet followed in between. */
  const pass = async (seconds: number, by = scaler) => {
    for (let left = seconds; left > 0; left -= 5) {
      control.nowMs += 5_000;
      await by.turn();
      await provisioner.reconcile();
    }
  };
  const show = () => control.call(groupShow, OPERATOR, { groupId });
  const counts = async () => (await control.call(ruleShow, OPERATOR, { groupId })).units;
  const added = async () => (await control.call(scalingUnits, OPERATOR, { groupId })).items;
  const decisions = async () => (await control.call(scalingDecisions, OPERATOR, { groupId })).items;
  const world = {
    control,
    manager,
    tenantId,
    groupId,
    endpointId,
    provisioner,
    scaler,
    scalerOf,
    load,
    running,
    unfit,
    pass,
  };
  return { ...world, show, counts, added, decisions };
}
