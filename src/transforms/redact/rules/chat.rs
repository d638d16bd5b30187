//! Tokens that send messages and mail.

use super::super::rule::{Builtin, token};
use super::named;

pub const RULES: &[Builtin] = &[
    token(
        "slack-token",
        "a token of Slack",
        &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxo-", "xoxe."],
        r"\bxox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",
    ),
    token(
        "slack-app-token",
        "an app token of Slack",
        &["xapp-"],
        r"\bxapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-f0-9]{32,}",
    ),
    token(
        "slack-webhook",
        "the secret part of a webhook of Slack",
        &["hooks.slack.com"],
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]{24,})",
    ),
    token(
        "discord-bot-token",
        "the token of a bot of Discord",
        &["discord", "bot"],
        r"(?:^|[^\w.-])([MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40})",
    ),
    token(
        "discord-webhook",
        "the secret part of a webhook of Discord",
        &["discord"],
        r"discord(?:app)?\.com/api/webhooks/[0-9]{16,20}/([A-Za-z0-9_-]{60,72})",
    ),
    token(
        "telegram-bot-token",
        "the token of a bot of Telegram",
        &[":aa"],
        r"(?:^|[^0-9])([0-9]{8,10}:AA[A-Za-z0-9_-]{33})",
    ),
    token(
        "teams-webhook",
        "the secret part of a webhook of Microsoft Teams",
        &["webhook.office.com"],
        r"webhook\.office\.com/webhookb2/([A-Za-z0-9@-]{36,80}/IncomingWebhook/[a-f0-9]{32}/[A-Za-z0-9/_-]{36,80})",
    ),
    token(
        "mattermost-token",
        "a token of Mattermost",
        &["mattermost"],
        named!(r"mattermost", r"[a-z0-9]{26}"),
    ),
    token("twilio-api-key", "an API key of Twilio", &["sk"], r"\bSK[0-9a-f]{32}\b"),
    token("twilio-auth-token", "an auth token of Twilio", &["twilio"], named!(r"twilio", r"[a-f0-9]{32}")),
    token("sendgrid-key", "an API key of SendGrid", &["sg."], r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    token(
        "mailgun-key",
        "a key of Mailgun",
        &["key-", "mailgun"],
        r"\b(key-[0-9a-f]{32})\b|\b([0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8})\b",
    ),
    token("mailchimp-key", "an API key of Mailchimp", &["-us"], r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"),
    token("mandrill-key", "an API key of Mandrill", &["md-"], r"\bmd-[A-Za-z0-9_-]{22}\b"),
    token(
        "postmark-token",
        "a server token of Postmark",
        &["postmark"],
        named!(r"postmark", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ),
    token(
        "brevo-key",
        "an API key of Brevo",
        &["xkeysib-", "xsmtpsib-"],
        r"\bx(?:key|smtp)sib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b",
    ),
    token("resend-key", "an API key of Resend", &["re_"], r"\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b"),
    token("mailersend-token", "a token of MailerSend", &["mlsn."], r"\bmlsn\.[a-f0-9]{64}\b"),
    token("zulip-key", "an API key of Zulip", &["zulip"], named!(r"zulip", r"[A-Za-z0-9]{32}")),
    token("ntfy-token", "a token of ntfy", &["tk_"], r"\btk_[a-z0-9]{29}\b"),
];
