# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors for two audiences: a person at a terminal, and a client of the API."""

from __future__ import annotations


class LabError(Exception):
    """A sentence that says what is missing and how to fix it; the command line prints it and exits with 1."""


class EngineError(LabError):
    """A call of the `docker` client failed; the text is the last line that it wrote."""


class ApiError(Exception):
    """A reply of the API that isn't a success.

    `code` is the body's `id`. DigitalOcean's bodies carry a `request_id` for some errors and not for others,
    so `traced` says which (422 and 429 were seen live without one).
    """

    def __init__(
        self, status: int, code: str, message: str, *, traced: bool = True, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.traced = traced
        self.headers = headers or {}


def invalid(message: str) -> ApiError:
    """A 422: DigitalOcean's answer whenever it refuses a well-formed request."""
    return ApiError(422, "unprocessable_entity", message, traced=False)


def not_found() -> ApiError:
    return ApiError(404, "not_found", "The resource you requested could not be found.")
