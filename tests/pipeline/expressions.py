"""As much of GitHub's expression language as our workflows use. It stops at anything that it does not know."""

import json
import re

TOKENS = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+)|([A-Za-z_][\w-]*)|(==|!=|&&|\|\||[!().,\[\]]))")


class Expression:
    """`a.b == 'c' && !cancelled()`; values are Python's own, null is None."""

    def __init__(self, text, context):
        self.context, self.tokens = context, []
        position = 0
        while text[position:].strip():
            match = TOKENS.match(text, position)
            if not match:
                raise SystemExit(f"cannot read the expression {text!r}")
            self.tokens.append(match.group().strip())
            position = match.end()

    def value(self):
        result = self.either()
        assert not self.tokens, f"left over: {self.tokens}"
        return result

    def take(self, *wanted):
        if self.tokens and (not wanted or self.tokens[0] in wanted):
            return self.tokens.pop(0)
        return None

    def either(self):
        left = self.both()
        while self.take("||"):
            right = self.both()
            left = left or right
        return left

    def both(self):
        left = self.equal()
        while self.take("&&"):
            right = self.equal()
            left = left and right
        return left

    def equal(self):
        left = self.negated()
        while operator := self.take("==", "!="):
            left = (text(left).lower() == text(self.negated()).lower()) == (operator == "==")
        return left

    def negated(self):
        if self.take("!"):
            return not self.negated()
        return self.primary()

    def primary(self):
        token = self.take()
        if token == "(":
            result = self.either()
            assert self.take(")")
        elif token.startswith("'"):
            result = token[1:-1].replace("''", "'")
        elif token.isdigit():
            result = int(token)
        elif token in ("true", "false"):
            result = token == "true"
        elif self.take("("):
            result = self.call(token)
        else:
            if token not in self.context:
                raise SystemExit(f"unknown context {token!r}")
            result = self.context[token]
        while self.take("."):
            name = self.take()
            result = result.get(name) if isinstance(result, dict) else None
        return result

    def call(self, name):
        arguments = []
        while not self.take(")"):
            arguments.append(self.either())
            self.take(",")
        if name == "toJSON":
            return json.dumps(arguments[0])
        if name == "fromJSON":
            return json.loads(arguments[0])
        status = self.context["status"]
        known = {"success": not status, "failure": status == "failure", "always": True, "cancelled": False}
        if name not in known:
            raise SystemExit(f"unknown function {name!r}")
        return known[name]


def text(value):
    return {None: "", True: "true", False: "false"}.get(value, value) if not isinstance(value, (int, str)) or isinstance(value, bool) else str(value)


def fill(template, context):
    """A text with ${{ … }} in it."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: text(Expression(match[1], context).value()), text(template))


def worth(template, context):
    """The value of a template that is one expression and nothing else."""
    return Expression(re.fullmatch(r"\$\{\{(.*)\}\}", template)[1], context).value()


def holds(condition, context):
    condition = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", text(condition).strip())
    if not re.search(r"\b(success|failure|always|cancelled)\(\)", condition):
        condition = f"success() && ({condition})" if condition else "success()"
    return bool(Expression(condition, context).value())
