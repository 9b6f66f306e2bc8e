"""What a browser is shown: no script, nothing from elsewhere, in nobody's frame, kept by no cache."""

from __future__ import annotations

from html import escape

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # no form-action: Chromium would then refuse to go on to the app after the form was sent to us
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}
_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1rem}"
    "button{font:inherit;padding:.6rem 1.6rem}#code{font-size:2.5rem;letter-spacing:.3em}"
)


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )


def ask(*, assistant: str, who: str, app: str) -> str:
    return _page(
        f"Connect {app}",
        f"<h1>Connect {escape(app)}?</h1>"
        f"<p>{escape(assistant)}, the voice assistant of <b id=who>{escape(who)}</b>, asks to use {escape(app)}.</p>"
        f"<p>If you are not {escape(who)}, somebody wants to use <i>your</i> account: close this page.</p>"
        "<form method=post><button>Continue</button></form>",
    )


def digits(*, assistant: str, app: str, code: str) -> str:
    return _page(
        f"{app}: one more step",
        f"<h1>One more step</h1><p>To finish, say this number to {escape(assistant)}, in the conversation in which you "
        f"asked for {escape(app)}:</p><p><b id=code>{' '.join(code)}</b></p>"
        "<p>Tell it to nobody else: whoever has it uses your account.</p>",
    )


def refused(why: str) -> str:
    return _page("Not connected", f"<h1>Not connected</h1><p id=why>{escape(why)}</p>")
