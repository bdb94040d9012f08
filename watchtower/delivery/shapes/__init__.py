"""Shapes a Message for each kind of channel: Slack blocks, mail, Markdown, text, 160 characters, JSON.

Here, and only here, text is escaped the way its channel needs it, and cut to the channel's limits, so
that no provider refuses an alert for its form. Nothing is looked up and nothing is sent.
"""

from watchtower.delivery.shapes.mail import MailParts, mail_parts
from watchtower.delivery.shapes.markdown import markdown
from watchtower.delivery.shapes.short import short
from watchtower.delivery.shapes.slack import slack_bare, slack_payload, slack_update
from watchtower.delivery.shapes.text import plain
from watchtower.delivery.shapes.webhook import webhook_body

__all__ = [
    "MailParts",
    "mail_parts",
    "markdown",
    "plain",
    "short",
    "slack_bare",
    "slack_payload",
    "slack_update",
    "webhook_body",
]
