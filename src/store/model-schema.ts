/** Models that tenants bring: part of `Database` in `schema.ts`, with its rules. */
export interface ModelTables {
  /** A LoRA adapter on a base, or a fully fine-tuned model that runs on its base's templates. */
  own_models: {
    /** `mdl-…`: what engines and receipts know an adapter by. */
    id: string;
    tenant_id: string;
    /** Unique among a tenant's live ones; `endpoint:name` asks for an adapter. */
    name: string;
    kind: 'lora' | 'full';
    base_model_id: string;
    format: 'gguf' | 'peft';
    /** As it was given: an https URL or a path. */
    source: string;
    /** Where engines find it. */
    path: string;
    /** Of the GGUF file, or of `adapter_model.safetensors`. */
    sha256: string;
    bytes: number;
    /** Of adapters. */
    rank: number | null;
    alpha: number | null;
    created_at_ms: number;
    removed_at_ms: number | null;
  };
  /** Which adapters an endpoint answers with. */
  endpoint_adapters: {
    endpoint_id: string;
    model_id: string;
    tenant_id: string;
    created_at_ms: number;
  };
}
