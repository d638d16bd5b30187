//! Keys of models and of what surrounds them.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "openai-key",
        "an API key of OpenAI",
        &["sk-", "t3blbkfj"],
        r"\bsk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|[A-Za-z0-9]{48}\b)",
    ),
    token(
        "anthropic-key",
        "an API key of Anthropic",
        &["sk-ant-"],
        r"\bsk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{60,}",
    ),
    token("openrouter-key", "an API key of OpenRouter", &["sk-or-"], r"\bsk-or-v1-[a-f0-9]{64}\b"),
    token("hex-secret-key", "a key of the form that several vendors use", &["sk-"], r"\bsk-[a-f0-9]{32}\b"),
    token("replicate-token", "a token of Replicate", &["r8_"], r"\br8_[A-Za-z0-9]{37,40}\b"),
    token("groq-key", "an API key of Groq", &["gsk_"], r"\bgsk_[A-Za-z0-9]{48,56}\b"),
    token("perplexity-key", "an API key of Perplexity", &["pplx-"], r"\bpplx-[A-Za-z0-9]{40,64}\b"),
    token("xai-key", "an API key of xAI", &["xai-"], r"\bxai-[A-Za-z0-9]{70,90}\b"),
    token(
        "langsmith-key",
        "an API key of LangSmith",
        &["lsv2_"],
        r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b",
    ),
    token("pinecone-key", "an API key of Pinecone", &["pcsk_", "pinecone"], r"\bpcsk_[A-Za-z0-9_]{60,}"),
    token("fireworks-key", "an API key of Fireworks AI", &["fw_"], r"\bfw_[A-Za-z0-9]{22,24}\b"),
    token("cerebras-key", "an API key of Cerebras", &["csk-"], r"\bcsk-[a-z0-9]{48,52}\b"),
    token("nvidia-key", "an API key of NVIDIA", &["nvapi-"], r"\bnvapi-[A-Za-z0-9_-]{60,70}"),
    token("mistral-key", "an API key of Mistral", &["mistral"], named!(r"mistral", r"[A-Za-z0-9]{32}")),
    token("cohere-key", "an API key of Cohere", &["cohere"], named!(r"cohere", r"[A-Za-z0-9]{40}")),
    token("wandb-key", "an API key of Weights and Biases", &["wandb"], named!(r"wandb", r"[a-f0-9]{40}")),
    token("kaggle-key", "an API key of Kaggle", &["kaggle"], named!(r"kaggle", r"[a-f0-9]{32}")),
    token(
        "elevenlabs-key",
        "an API key of ElevenLabs",
        &["elevenlabs", "xi-api-key", "xi_api_key"],
        named!(r"elevenlabs|xi[-_]api[-_]key", r"(?:sk_)?[a-f0-9]{32,48}"),
    ),
    token("tavily-key", "an API key of Tavily", &["tvly-"], r"\btvly-(?:dev-|prod-)?[A-Za-z0-9]{32}\b"),
];
