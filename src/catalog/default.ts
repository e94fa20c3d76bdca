/** The model and template that a fresh installation sells: small, real, and run by the embedded engine. */
export const DEFAULT_MODEL_ID = 'smollm2-135m-instruct';
export const DEFAULT_TEMPLATE_ID = 'smollm2-135m-local';
