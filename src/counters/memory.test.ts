import { countersSuite } from './counters.case.ts';
import { memoryCounters } from './memory.ts';

countersSuite('memory', async (nowMs) => memoryCounters(nowMs));
