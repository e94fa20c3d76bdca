import type { Command } from 'commander';
export function addEvaluateWork(_program: Command, _group: Command): void {}
