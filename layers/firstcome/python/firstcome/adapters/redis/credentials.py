"""What the gate logs in with: a secret of Secrets Manager, or an IAM token."""

from collections.abc import Callable

from redis.credentials import CredentialProvider
from redis.exceptions import ExternalAuthProviderError

from firstcome.adapters import aws
from firstcome.domain.errors import FirstcomeError
from firstcome.settings import RedisSettings


class GateCredentials(CredentialProvider):
    """A login."""

    def renew(self) -> bool:
        """Tell whether there is another login than the one that was refused."""
        return False


class SecretCredentials(GateCredentials):
    """Logs in with what a secret holds; read when first needed."""

    def __init__(self, secret_arn: str) -> None:
        self._secret_arn = secret_arn
        self._tried: aws.Login | None = None
        self._refused: aws.Login | None = None

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the user and the password, or the password alone for the default user."""
        self._tried = self._read()
        return self._tried if self._tried.username else (self._tried.password,)

    def renew(self) -> bool:
        """Read the secret again, which may have been rotated."""
        self._refused = self._tried
        return self._read() != self._refused

    def _read(self) -> aws.Login:
        return _translated(lambda: aws.secret_login(self._secret_arn, self._refused))


class IamCredentials(GateCredentials):
    """Logs in as a user of ElastiCache with the function's role. Another token than the one refused is refused too."""

    def __init__(self, user: str, cache_name: str, resource_type: str) -> None:
        self._user = user
        self._cache = (cache_name, resource_type)

    def get_credentials(self) -> tuple[str, str]:
        """Return the user and a token made anew."""
        return self._user, _translated(lambda: aws.elasticache_token(self._user, *self._cache))


def credentials(where: RedisSettings) -> GateCredentials | None:
    """Return the login that the settings name; None for a server that asks for none."""
    if where.iam_user:
        return IamCredentials(where.iam_user, where.iam_cache, where.iam_resource_type)
    return SecretCredentials(where.secret_arn) if where.secret_arn else None


def _translated[T](ask: Callable[[], T]) -> T:
    """Ask for a login. redis-py gives up a half-open connection only on errors of its own."""
    try:
        return ask()
    except FirstcomeError as exc:
        raise ExternalAuthProviderError("there is no login") from exc
