import { roundHalfEven } from './money.ts';

/** Price of one unit, micro-units of money. */
export interface UnitPrice {
  readonly hourlyMicros: bigint;
  readonly monthlyMicros: bigint;
}

/** A month is taken as 730 hours, a twelfth of a year. */
export const HOURS_PER_MONTH = 730;

export interface Purchase {
  readonly prepaidUnits: number;
  /** Most that are paid by the hour at once, and unit-hours of them in a month. */
  readonly postpaidUnitsMax: number;
  readonly postpaidUnitHours: number;
  readonly monthlyMicros: bigint;
}

/** Hours a month from which a month's price is the cheaper one. */
export function breakEvenHours({ hourlyMicros, monthlyMicros }: UnitPrice): number {
  return Number(monthlyMicros) / Number(hourlyMicros);
}

/**
 * The cheapest way to have `unitsByHour` (24 whole numbers, one for each hour of the day): the n-th unit is needed in
 * so many hours, and is bought by the month where that costs no more. Exact up to one rounding to the micro.
 */
export function cheapestPurchase(unitsByHour: readonly number[], price: UnitPrice): Purchase {
  const most = Math.max(...unitsByHour);
  // How many hours a day need the n-th unit only changes where an hour's need does: walk those steps, not the units.
  const steps = [...new Set(unitsByHour)].sort((a, b) => a - b);
  let prepaidUnits = 0;
  let before = 0;
  for (const units of steps) {
    const hours = unitsByHour.filter((need) => need > before).length;
    if (monthOf(hours, price) >= price.monthlyMicros) prepaidUnits = units;
    before = units;
  }
  const hoursOver = unitsByHour.reduce((sum, need) => sum + Math.max(0, need - prepaidUnits), 0);
  return {
    prepaidUnits,
    postpaidUnitsMax: most - prepaidUnits,
    postpaidUnitHours: (hoursOver * HOURS_PER_MONTH) / 24,
    monthlyMicros: BigInt(prepaidUnits) * price.monthlyMicros + monthOf(hoursOver, price),
  };
}

/** A month of so many unit-hours a day, by the hour. */
export function monthOf(unitHoursPerDay: number, { hourlyMicros }: Pick<UnitPrice, 'hourlyMicros'>): bigint {
  return roundHalfEven(hourlyMicros * BigInt(unitHoursPerDay) * BigInt(HOURS_PER_MONTH), 24n);
}
