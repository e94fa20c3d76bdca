import type { Command } from 'commander';
export async function runCheck(_p: Command, _f: object): Promise<void> {}
