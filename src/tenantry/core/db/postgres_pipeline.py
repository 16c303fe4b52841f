"""A connection to PostgreSQL on an event loop: what is asked at the same time is sent together.

In libpq's pipeline mode a statement is sent without waiting for the answers to those before it, and the
answers come in the same order. Who asks is a greenlet: it stops at a statement and goes on with the answer,
so services are plain functions here as well, and no thread waits for another's turn at the interpreter.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import greenlet
import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from tenantry.core.db.base import Row
from tenantry.core.db.postgres_sql import Statement

T = TypeVar("T")

_PREPARED = 512
"""Most statements that a connection keeps prepared."""
_BINARY = 1
_GOOD = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})


class ConnectionLost(Exception):
    """The connection was cut before the answer came."""


class Undone(Exception):
    """Another statement failed that was sent together with this one, which was therefore not run."""


def start(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> asyncio.Future[T]:
    """Run `function`, which may ask pipelines of this loop, in a greenlet; return the future of its value."""
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = function()
        except greenlet.GreenletExit:
            return
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is for the one who waits)
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(value)

    greenlet.greenlet(run).switch()
    return future


def gather(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Return what each function returns; while one waits for an answer the others go on.

    To be called in a greenlet of the loop. Raises what the first raised that failed, once all have ended.
    """
    this = greenlet.getcurrent()
    assert this.parent is not None, "only a greenlet can wait for others"
    values: dict[int, T] = {}
    failures: list[BaseException] = []

    def run(number: int, function: Callable[[], T]) -> None:
        try:
            values[number] = function()
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is for the one who waits)
            failures.append(error)

    # Each comes back here, its parent, when it stops and when it ends.
    for number, function in enumerate(functions):
        greenlet.greenlet(run).switch(number, function)
    while len(values) + len(failures) < len(functions):
        this.parent.switch()
    if failures:
        raise failures[0]
    return [values[number] for number in range(len(functions))]


@dataclass(slots=True, eq=False)
class _Question:
    """A statement that is on its way, and who waits for its answer: nobody, if it was only posted."""

    statement: Statement
    values: list[Any]
    askers: list[Callable[[PGresult | Exception], object]]
    whatever: bool = False
    """Whether it is run even if what is sent before it fails."""


class Ahead:
    """A statement that was asked ahead of its turn: nobody waits for its answer yet."""

    __slots__ = ("_answer", "_go_on", "statement", "values")

    def __init__(self, statement: Statement, values: list[Any]) -> None:
        self.statement = statement
        self.values = values
        self._answer: PGresult | Exception | None = None
        self._go_on: Callable[[], object] | None = None

    def settle(self, answer: PGresult | Exception) -> None:
        """Take the answer, and have whoever waits for it go on."""
        self._answer = answer
        if self._go_on is not None:
            self._go_on()

    def wait(self) -> PGresult | Exception:
        """Return the answer once it is there."""
        if self._answer is None:
            this = greenlet.getcurrent()
            assert this.parent is not None, "only a greenlet can wait for an answer"
            self._go_on = this.switch
            this.parent.switch()
        assert self._answer is not None
        return self._answer


class _Prepare:
    """The preparation of a statement, which is on its way."""

    def __init__(self, key: tuple[bytes, tuple[int, ...]]) -> None:
        self.key = key


_SYNC = object()


class Pipeline:
    """One connection. Statements that are asked within a turn of the loop are sent at its end.

    With `gathers`, what is asked changes nothing: two who ask the same before it is sent share one answer, and
    a statement that fails takes no other with it.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Row], loop: asyncio.AbstractEventLoop, *, gathers: bool
    ) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._descriptor = self._pg.socket
        self._transformer = Transformer(connection)
        self._loop = loop
        self._gathers = gathers
        self._waiting: list[_Question] = []
        self._same: dict[tuple[bytes, tuple[object, ...]], _Question] = {}
        self._sent: deque[_Question | _Prepare | object] = deque()
        self._names: OrderedDict[tuple[bytes, tuple[int, ...]], bytes | None] = OrderedDict()
        self._made = 0
        self.failure: Exception | None = None
        """The first failure of a statement that nobody waited for. Whoever begins a transaction clears it."""
        self.closed = False
        loop.add_reader(self._descriptor, self._read)

    @property
    def load(self) -> int:
        """How many statements are on their way or wait to be sent."""
        return len(self._sent) + len(self._waiting)

    def post(self, statement: Statement, values: list[Any]) -> None:
        """Have a statement run whose answer nobody waits for. A failure is kept in `failure`."""
        self._put(_Question(statement, values, []))

    def post_whatever(self, statement: Statement) -> None:
        """Have a statement run, even if what was asked before it and is not yet answered fails."""
        if not self.closed:
            self._put(_Question(statement, [], [], whatever=True))

    def ask(self, statement: Statement, values: list[Any]) -> PGresult:
        """Run a statement, and return what came of it. To be called in a greenlet of the loop (`start`).

        Raises ConnectionLost, Undone, `failure`, and what PostgreSQL says is wrong with the statement.
        """
        this = greenlet.getcurrent()
        assert this.parent is not None, "only a greenlet can wait for an answer"
        while True:
            self._ask(statement, values, this.switch)
            answer: PGresult | Exception = this.parent.switch()
            if isinstance(answer, Exception):
                raise answer
            if answer.status in _GOOD:
                return answer
            if self.failure is not None:
                raise self.failure
            if answer.status != ExecStatus.PIPELINE_ABORTED:
                raise errors.error_from_result(answer)
            if not self._gathers:
                raise Undone

    def ask_ahead(self, statement: Statement, values: list[Any]) -> Ahead:
        """Have a statement run whose answer `answer_of` returns."""
        ahead = Ahead(statement, values)
        self._ask(statement, values, ahead.settle)
        return ahead

    def answer_of(self, ahead: Ahead) -> PGresult:
        """Return what came of a statement that was asked ahead. Raises what `ask` does."""
        answer = ahead.wait()
        if isinstance(answer, Exception):
            raise answer
        # Asked again, it says what is wrong.
        return answer if answer.status in _GOOD else self.ask(ahead.statement, ahead.values)

    def rows(self, result: PGresult) -> list[Row]:
        """Return the rows of a result."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def close(self, error: Exception | None = None) -> None:
        """Let go of the connection. Whoever waits for an answer is told that it was lost."""
        if self.closed:
            return
        self.closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
        self._pg.finish()
        lost = ConnectionLost()
        lost.__cause__ = error
        self.failure = self.failure or lost
        unanswered = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        self._same.clear()
        for question in unanswered:
            if isinstance(question, _Question):
                _answer(question, lost)

    def _ask(
        self, statement: Statement, values: list[Any], asker: Callable[[PGresult | Exception], object]
    ) -> None:
        if not self._gathers:
            self._put(_Question(statement, values, [asker]))
            return
        key = (statement.text, tuple(tuple(value) if isinstance(value, list) else value for value in values))
        same = self._same.get(key)
        if same is not None:
            same.askers.append(asker)
            return
        self._same[key] = question = _Question(statement, values, [asker])
        self._put(question)

    def _put(self, question: _Question) -> None:
        if self.closed:
            raise self.failure or ConnectionLost
        self._waiting.append(question)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        if self.closed or not self._waiting:
            return
        questions, self._waiting = self._waiting, []
        self._same.clear()
        sent = 0
        try:
            for question in questions:
                if question.whatever:
                    self._synchronize()
                self._send(question)
                sent += 1
            self._synchronize()
            self._push()
        except Exception as error:  # noqa: BLE001 (whatever it is, nobody would be answered any more)
            self._waiting = questions[sent:]
            self.close(error)

    def _synchronize(self) -> None:
        """Mark where the server goes on after a failure."""
        self._pg.pipeline_sync()
        self._sent.append(_SYNC)

    def _send(self, question: _Question) -> None:
        """Put a statement into what is to be sent. One that cannot be said in the protocol is answered at once."""
        text, names, as_formats, _ = question.statement
        transformer = self._transformer
        try:
            values = transformer.dump_sequence(question.values, as_formats) if names else []
        except Exception as error:  # noqa: BLE001 (whatever it is, it is for the one who asked)
            self._fail(question, error)
            return
        types, formats = (transformer.types, transformer.formats) if names else ((), [])
        name = self._name((text, tuple(types or ())))
        if name is None:
            self._pg.send_query_params(
                text, values, param_types=types, param_formats=formats, result_format=_BINARY
            )
        else:
            self._pg.send_query_prepared(name, values, param_formats=formats, result_format=_BINARY)
        self._sent.append(question)

    def _name(self, key: tuple[bytes, tuple[int, ...]]) -> bytes | None:
        """Return the name under which a statement is prepared; None the first time, when it is not."""
        names = self._names
        if key not in names:
            names[key] = None
            if len(names) > _PREPARED:
                self._forget_oldest()
            return None
        names.move_to_end(key)
        name = names[key]
        if name is None:
            self._made += 1
            name = names[key] = b"s%d" % self._made
            self._pg.send_prepare(name, key[0], param_types=key[1])
            self._sent.append(_Prepare(key))
        return name

    def _forget_oldest(self) -> None:
        _, name = self._names.popitem(last=False)
        if name is not None:
            statement = Statement(b"DEALLOCATE " + name, (), [], changes=False)
            self._pg.send_query_params(statement.text, [])
            self._sent.append(_Question(statement, [], []))

    def _push(self) -> None:
        """Send what the socket takes, and the rest when it takes more."""
        if self._pg.flush():
            self._loop.add_writer(self._descriptor, self._push_rest)

    def _push_rest(self) -> None:
        try:
            if not self._pg.flush():
                self._loop.remove_writer(self._descriptor)
        except psycopg.OperationalError as error:
            self.close(error)

    def _read(self) -> None:
        """Take what has come in, and have those go on who waited for it."""
        answered: list[tuple[_Question, PGresult]] = []
        lost: Exception | None = None
        try:
            self._pg.consume_input()
            while self._sent and not self._pg.is_busy():
                result = self._pg.get_result()
                if result is None:
                    continue
                if _ends_connection(result):
                    lost = errors.error_from_result(result)
                    break
                sent = self._sent.popleft()
                if isinstance(sent, _Question):
                    answered.append((sent, result))
                elif isinstance(sent, _Prepare) and result.status not in _GOOD:
                    self._names.pop(sent.key, None)
        except psycopg.OperationalError as error:
            lost = error
        for question, result in answered:
            if not question.askers:
                self._note(result)
            _answer(question, result)
        if lost is not None:
            self.close(lost)

    def _note(self, result: PGresult) -> None:
        if self.failure is not None or result.status in _GOOD or result.status == ExecStatus.PIPELINE_ABORTED:
            return
        failure = errors.error_from_result(result)
        # What is run after a failure fails too. It may be told when the next transaction has begun already.
        if not isinstance(failure, errors.InFailedSqlTransaction):
            self.failure = failure

    def _fail(self, question: _Question, error: Exception) -> None:
        if not question.askers:
            self.failure = self.failure or error
        # Not now: others are being sent.
        self._loop.call_soon(_answer, question, error)


def _ends_connection(result: PGresult) -> bool:
    """Return whether the server says with this that it closes the connection, as when it is stopped."""
    if result.status != ExecStatus.FATAL_ERROR:
        return False
    return result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED) in {b"FATAL", b"PANIC"}


def _answer(question: _Question, answer: PGresult | Exception) -> None:
    for tell in question.askers:
        tell(answer)
