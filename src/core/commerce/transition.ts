import { CubitError } from '../errors.ts';

/** For each state and event the state that follows; null where the event cannot happen. The compiler proves it complete. */
export type TransitionTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Record<Event, State | null>>>
>;

/** The state after an event. Throws `invalid_transition`, naming what could happen instead. */
export function follow<State extends string, Event extends string>(
  noun: string,
  table: TransitionTable<State, Event>,
  state: State,
  event: Event,
): State {
  const next = table[state][event];
  if (next !== null) return next;
  const possible = (Object.keys(table[state]) as Event[]).filter((other) => table[state][other] !== null);
  const instead = possible.length === 0 ? 'That is final.' : `Possible now: ${possible.map(words).join(', ')}.`;
  throw new CubitError('invalid_transition', `The ${noun} is ${words(state)}: it cannot ${words(event)}. ${instead}`, {
    details: { state, event, possible },
  });
}

function words(name: string): string {
  return name.replaceAll('_', ' ');
}
