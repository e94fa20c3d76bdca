import type { StepModel } from '../work.ts';
import { capacityOf } from './capacity.ts';
import { checkDeployment, checkPositive } from './check.ts';
import { decodeUs } from './decode.ts';
import type { Deployment } from './facts.ts';
import { type PrefillTerms, prefillTerms, prefillUs } from './prefill.ts';

/** Where the step model is taken: the batch a tier decodes, the mean context of its sequences, the usual prompt. */
export interface StepPoint {
  readonly sequences: number;
  readonly contextTokens: number;
  readonly promptTokens: number;
}

export interface UnitStepModel {
  readonly step: StepModel;
  readonly prefillFixedUs: number;
  /** Tokens of context that the decoding replica holds. */
  readonly kvTokens: number;
}

/** Size of the steps that slopes are taken over: small beside the point, large beside rounding. */
const NUDGE = 0.1;

/**
 * The step model of a unit as slopes at an operating point (DESIGN §3): τ3 and τ4 are what one more sequence and one
 * more context token add to a decode step, τ0 what is left of it; τ1 and τ2 what one more prefill token and attended
 * pair add, `prefillFixedUs` what is left of a prompt. `prefill` is another deployment where roles are apart.
 * Throws `invalid_request` naming a fact that is missing.
 */
export function stepModelOf(decode: Deployment, at: StepPoint, prefill: Deployment = decode): UnitStepModel {
  checkDeployment(decode);
  checkDeployment(prefill);
  checkPositive({ ...at });
  return {
    ...prefillSlopes(prefill, at.promptTokens, decodeSlopes(decode, at)),
    kvTokens: capacityOf(decode, at.contextTokens).kvTokens,
  };
}

function decodeSlopes(deployment: Deployment, { contextTokens, sequences }: StepPoint): StepModel {
  const stepUs = (batch: number, context: number) => decodeUs(deployment, { sequences: batch, contextTokens: context });
  const here = stepUs(sequences, contextTokens);
  const more = Math.max(1, NUDGE * sequences);
  const perSequence = (stepUs(sequences + more, contextTokens) - here) / more;
  const longer = contextTokens * (1 + NUDGE);
  const tau4Us = Math.max(0, stepUs(sequences, longer) - here) / ((longer - contextTokens) * sequences);
  const tau3Us = Math.max(0, perSequence - tau4Us * contextTokens);
  const tau0Us = Math.max(0, here - (tau3Us + tau4Us * contextTokens) * sequences);
  return { tau0Us, tau1Us: 0, tau2Us: 0, tau3Us, tau4Us, tau5Us: 0 };
}

/** Per unit of work: attention ranks and pipeline stages work on as many prompts at once. */
function prefillSlopes(deployment: Deployment, tokens: number, step: StepModel): Omit<UnitStepModel, 'kvTokens'> {
  const { attentionData, pipeline } = deployment.parallelism;
  const atOnce = attentionData * pipeline;
  const unitUs = (terms: PrefillTerms) => prefillUs(deployment, terms) / atOnce;
  const terms = prefillTerms(deployment, tokens, attentionData);
  const here = unitUs(terms);
  const pairs = tokens ** 2 / 2;
  const fewer = unitUs({ ...terms, attentionUs: terms.attentionUs * (1 - NUDGE) });
  const tau2Us = Math.max(0, here - fewer) / (NUDGE * pairs);
  const longer = prefillTerms(deployment, tokens * (1 + NUDGE), attentionData);
  const tau1Us = Math.max(0, unitUs({ ...longer, attentionUs: terms.attentionUs }) - here) / (NUDGE * tokens);
  const prefillFixedUs = Math.max(0, here - tau1Us * tokens - tau2Us * pairs);
  return { step: { ...step, tau1Us, tau2Us }, prefillFixedUs };
}
