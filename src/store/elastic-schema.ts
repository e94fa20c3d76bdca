import type { ElasticUnitState } from '../core/commerce/elastic-unit.ts';

/** Tables of elastic scaling, by the rules of `schema.ts`. */
export interface ElasticTables {
  /** What scaling may do with a postpaid group; its base units (`instance_groups.units`) are the rule's minimum. */
  elastic_rules: {
    group_id: string;
    tenant_id: string;
    served_model_id: string;
    /** Base units and added ones together. */
    max_units: number;
    /** The rest of the rule (`core/serving/scaling/rule.ts`). */
    rule_json: string;
    changed_at_ms: number;
  };
  /** A unit that scaling added, from launch to release; the states are told in `core/commerce/elastic-unit.ts`. */
  elastic_units: {
    id: string;
    group_id: string;
    replica_id: string;
    state: ElasticUnitState;
    launched_at_ms: number;
    /** First time. */
    ready_at_ms: number | null;
    /** Last time. */
    draining_at_ms: number | null;
    /** Released or failed. */
    ended_at_ms: number | null;
    /** For people. */
    failure: string | null;
  };
  /** What load usually is at each time of the week (`core/serving/scaling/forecast.ts`); it may be forgotten. */
  load_profiles: {
    group_id: string;
    /** Full units in each five minutes of the week, Monday first, in the rule's zone; −1: not seen yet. */
    profile_json: string;
    learned_at_ms: number;
  };
  /** Every change that scaling made, and why. Never updated. */
  scaling_decisions: {
    id: string;
    tenant_id: string;
    group_id: string;
    at_ms: number;
    /** Of the group, base units included. */
    units_before: number;
    units_after: number;
    cause: string;
    /** For people. */
    sentence: string;
    inputs_json: string;
  };
}
