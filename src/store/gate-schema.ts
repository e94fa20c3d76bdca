import type { AccessState, Feature } from '../core/commerce/access.ts';
import type { ApplicationState } from '../core/commerce/application.ts';

export const APPLICATION_KINDS = ['quota', 'access'] as const;

/** What a tenant may buy: quota, access, agreements; the rules of `schema.ts` hold. */
export interface GateTables {
  /** Units of a template that a tenant may hold, where the operator said so. Unique by both. */
  quotas: {
    id: string;
    tenant_id: string;
    template_id: string;
    units: number;
    updated_at_ms: number;
  };
  /** What a tenant applied for. At most one that is pending for each tenant, kind and `about`. */
  applications: {
    id: string;
    tenant_id: string;
    kind: (typeof APPLICATION_KINDS)[number];
    /** The template of a quota, the feature of an access. */
    about: string;
    /** Quota: the whole of it that is wanted, not what is added. */
    units: number | null;
    granted_units: number | null;
    reason: string;
    state: ApplicationState;
    /** The operator's words. */
    note: string | null;
    created_at_ms: number;
    decided_at_ms: number | null;
    decided_by: string | null;
  };
  /** A tenant's access to a feature, once something was decided. Unique by both. */
  accesses: {
    id: string;
    tenant_id: string;
    feature: Feature;
    state: AccessState;
    note: string | null;
    updated_at_ms: number;
  };
  /** What was accepted, word by word, by its hash: the catalogue may change. Never updated. */
  agreement_texts: {
    sha256: string;
    version: string;
    title: string;
    valid_from_ms: number;
    text: string;
    created_at_ms: number;
  };
  /** Who accepted which text for a tenant. Unique by tenant and text; never updated. */
  agreement_acceptances: {
    id: string;
    tenant_id: string;
    version: string;
    sha256: string;
    actor: string;
    created_at_ms: number;
  };
}
