"""The template as it is with some parameters: what is made, and with which values."""

from typing import Any

from tests.template.cloudformation import template

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"
REDIS_SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redis"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/x"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
GIVEN = {
    "JwtIssuer": "https://issuer.example",
    "RedisHost": "redis.example",
    "MysqlHost": "mysql.example",
    "MysqlSecretArn": SECRET,
}
"""Parameters of a team that has everything of its own."""

_NOTHING = {"Ref": "AWS::NoValue"}


class Form:
    """The template with these parameters, the others at their defaults.

    References to parameters, conditions and mappings are replaced by what they come to; references to resources stay.
    """

    def __init__(self, **parameters: str) -> None:
        self._document = template()
        declared = self._document["Parameters"]
        assert parameters.keys() <= declared.keys()
        self._parameters = {name: parameter.get("Default", "") for name, parameter in declared.items()} | parameters

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """What is made, by logical id."""
        return {
            name: self.resolve(resource)
            for name, resource in self._document["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def holds(self, name: str) -> bool:
        """Return whether a condition holds."""
        return self._holds(self._document["Conditions"][name])

    @property
    def broken_rules(self) -> list[str]:
        """Return the names of the rules that stop a deployment of this form."""
        return [
            name
            for name, rule in self._document["Rules"].items()
            if self._holds(rule["RuleCondition"])
            and not all(self._holds(assertion["Assert"]) for assertion in rule["Assertions"])
        ]

    def statements(self, function: str) -> list[dict[str, Any]]:
        """Return what a function's role says: its own policies, and those it shares."""
        resources = self.resources
        assert resources[function]["Properties"]["Role"] == {"Fn::GetAtt": [f"{function}Role", "Arn"]}
        role = resources[f"{function}Role"]["Properties"]
        shared = [resources[policy["Ref"]]["Properties"] for policy in role.get("ManagedPolicyArns", [])]
        return [
            statement for policy in [*role["Policies"], *shared] for statement in policy["PolicyDocument"]["Statement"]
        ]

    def variables(self, function: str) -> dict[str, str]:
        """Return a function's environment; a value that a resource gives is named after it."""
        resource = self._document["Resources"][function]
        is_shared = "Environment" not in resource.get("IgnoreGlobals", [])
        shared = self._document["Globals"]["Function"]["Environment"]["Variables"] if is_shared else {}
        own = resource["Properties"].get("Environment", {}).get("Variables", {})
        return {name: _as_text(self.resolve(value)) for name, value in {**shared, **own}.items()}

    def resolve(self, value: Any) -> Any:
        """Return `value` with what the parameters decide decided."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item != _NOTHING]
        if not isinstance(value, dict):
            return value
        found = self._decide(value)
        if found is not value:
            return found
        return {key: item for key, part in value.items() if (item := self.resolve(part)) != _NOTHING}

    def _decide(self, value: dict[str, Any]) -> Any:
        match list(value.items()):
            case [("Ref", name)] if name in self._parameters:
                return self._parameters[name]
            case [("Fn::If", [name, if_true, if_false])]:
                return self.resolve(if_true if self.holds(name) else if_false)
            case [("Fn::FindInMap", [name, *keys])]:
                first, second = map(self.resolve, keys)
                return self._document["Mappings"][name][first][second]
        return self._decide_text(value)

    def _decide_text(self, value: dict[str, Any]) -> Any:
        """Return what comes of a function of texts; the value itself where a part is a resource's to give."""
        match list(value.items()):
            case [("Fn::Join", [separator, parts])] if isinstance(self.resolve(parts), str):
                return separator.join(self.resolve(parts).split(","))
            case [("Fn::Join", [separator, parts])] if not any(isinstance(part, dict) for part in self.resolve(parts)):
                return separator.join(map(str, self.resolve(parts)))
            case [("Fn::Select", [place, parts])] if isinstance(self.resolve(parts), str | list):
                found = self.resolve(parts)
                return (found.split(",") if isinstance(found, str) else found)[place]
            case [("Fn::Split", [separator, text])] if isinstance(self.resolve(text), str):
                return self.resolve(text).split(separator)
        return value

    def _holds(self, condition: dict[str, Any]) -> bool:
        match list(condition.items()):
            case [("Condition", name)]:
                return self.holds(name)
            case [("Fn::Not", [negated])]:
                return not self._holds(negated)
            case [("Fn::And", parts)]:
                return all(self._holds(part) for part in parts)
            case [("Fn::Or", parts)]:
                return any(self._holds(part) for part in parts)
            case [("Fn::Equals", [left, right])]:
                return str(self.resolve(left)) == str(self.resolve(right))
        return self._holds_of_members(condition)

    def _holds_of_members(self, condition: dict[str, Any]) -> bool:
        """Return whether a function holds that only a rule may use."""
        match list(condition.items()):
            case [("Fn::Contains", [members, value])]:
                return str(self.resolve(value)) in members
            case [("Fn::EachMemberEquals", [members, value])]:
                return all(member == value for member in self.resolve(members).split(","))
        raise AssertionError(f"not a condition: {condition}")


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        ((_, name),) = value.items()
        return ".".join(name) if isinstance(name, list) else str(name)
    return str(value)
