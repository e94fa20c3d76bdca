import type { PriceBook } from '../../catalog/price-book.ts';
import { newId } from '../call.ts';
import { OPERATOR, type TestControl, testControl } from '../fixture.ts';
import { priceBookImport } from './import.ts';
import { takeInCatalog } from './take-in.ts';

/** Tests of price books: a store that has the catalogue's, on 13 April 2026, 09:00 in Shanghai. */
export async function pricedWorld(credit = '20000') {
  const control = await testControl();
  await takeIn(control);
  const tenant = await control.tenant(credit);
  return { control, tenant };
}

export function takeIn(control: TestControl): Promise<string | null> {
  return takeInCatalog({ ...control.deps, newId });
}

/** Of 3.60 an hour and 1,728.00 a month, as in the catalogue, unless told otherwise. */
export function bookOf(
  version: string,
  validFrom: string,
  alpha: Partial<PriceBook['prices'][number]> = {},
): PriceBook {
  const price = { templateId: 'alpha-local', hourly: '3.60', monthly: '1728.00', penalty: 0.3, ...alpha };
  return { version, currency: 'CNY', validFrom, prices: [price] };
}

export function importBook(control: TestControl, book: PriceBook, input: object = {}) {
  return control.call(priceBookImport, OPERATOR, { file: JSON.stringify(book), ...input });
}
