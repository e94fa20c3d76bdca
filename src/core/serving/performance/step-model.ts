import type { StepModel } from '../work.ts';
import { capacityOf } from './capacity.ts';
import { decodeUs } from './decode.ts';
import type { Deployment } from './facts.ts';
import { prefillTerms, prefillUs } from './prefill.ts';

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

/**
 * The step model of a unit as slopes at an operating point (DESIGN §3): τ3 and τ4 are what one more sequence and one
 * more context token add to a decode step, τ0 what is left of it; τ1 and τ2 what one more prefill token and attended
 * pair add, `prefillFixedUs` what is left of a prompt. Decode and prefill replicas are the same in a single template.
 */
export function stepModelOf(decode: Deployment, at: StepPoint, prefill: Deployment = decode): UnitStepModel {
  const { contextTokens, promptTokens, sequences } = at;
  const stepUs = (batch: number, context: number) => decodeUs(decode, { sequences: batch, contextTokens: context });
  const here = stepUs(sequences, contextTokens);
  const more = Math.max(1, Math.round(sequences / 8));
  const perSequence = (stepUs(sequences + more, contextTokens) - here) / more;
  const tau4Us = (stepUs(sequences, contextTokens * 1.1) - here) / (0.1 * contextTokens * sequences);
  const tau3Us = Math.max(0, perSequence - tau4Us * contextTokens);

  const terms = prefillTerms(prefill, promptTokens);
  const prompt = prefillUs(prefill, terms);
  const pairs = promptTokens ** 2 / 2;
  const tau2Us =
    Math.max(0, (prompt - prefillUs(prefill, { ...terms, attentionUs: 0.9 * terms.attentionUs })) * 10) / pairs;
  const longer = prefillTerms(prefill, promptTokens * 1.1);
  const perToken = (prefillUs(prefill, { ...longer, attentionUs: terms.attentionUs }) - prompt) / (0.1 * promptTokens);
  const tau1Us = Math.max(0, perToken);
  return {
    step: {
      tau0Us: Math.max(0, here - tau3Us * sequences - tau4Us * sequences * contextTokens),
      tau1Us,
      tau2Us,
      tau3Us,
      tau4Us,
      tau5Us: 0,
    },
    prefillFixedUs: Math.max(0, prompt - tau1Us * promptTokens - tau2Us * pairs),
    kvTokens: capacityOf(decode, contextTokens).kvTokens,
  };
}
