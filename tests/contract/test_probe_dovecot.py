"""Looks at a real IMAP server, dovecot: in the clear, over TLS and with STARTTLS, and gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.looking import condition, look
from support.real_servers import dovecot
from support.targets import Authority

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import ImapTarget, SmtpTarget, TlsTarget


def test_a_real_dovecot(authority: Authority, tmp_path: Path) -> None:
    """Every way to its greeting is up, and every way to fail has its words."""

    def see(port: int, host: str = "localhost", **fields: Any) -> Result:
        judged = {key: fields.pop(key) for key in ("expect", "warn", "timeout_s") if key in fields}
        return asyncio.run(look(ImapTarget(host=host, port=port, **fields), **judged))

    with dovecot(tmp_path, authority.pem("localhost")) as (plain, secure):
        named = condition("banner contains Dovecot", "banner", "contains", "Dovecot")
        for result in (
            see(plain, expect=(named,)),
            see(plain, starttls=True, expect=(named,)),
            see(secure, tls=True, expect=(named,)),
        ):
            assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
        other = condition("banner contains Cyrus", "banner", "contains", "Cyrus")
        unmet = see(plain, expect=(other,))
        assert unmet.kind is Kind.CONDITION
        assert unmet.text.startswith('banner contains Cyrus: was "* OK [CAPABILITY IMAP4rev1')
        soon = condition("cert.expires > 40d", "cert.expires", ">", 40 * 86_400.0)
        assert see(plain, starttls=True, warn=(soon,)).opinion is Opinion.DEGRADED
        for how in ({"port": plain, "starttls": True}, {"port": secure, "tls": True}):
            wrong = see(host="127.0.0.1", **how)
            assert (wrong.kind, wrong.text) == (
                Kind.TLS,
                "certificate is not for 127.0.0.1 but for localhost",
            )
            assert see(host="127.0.0.1", verify=False, **how).opinion is Opinion.UP
        cert = asyncio.run(look(TlsTarget(host="localhost", port=plain, starttls="imap")))
        assert "certificate valid for" in cert.text
        not_tls = see(plain, tls=True)
        assert (not_tls.kind, not_tls.text[:11]) == (Kind.TLS, "TLS failed:")
        smtp = asyncio.run(look(SmtpTarget(host="localhost", port=plain)))
        assert (smtp.kind, smtp.text[:16]) == (Kind.PROTOCOL, 'not SMTP: says "')
    gone = see(plain, host="127.0.0.1")
    assert (gone.kind, gone.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{plain}")
