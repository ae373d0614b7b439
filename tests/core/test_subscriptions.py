import asyncio
import gc
import threading

import pytest

from broker_core.errors import AuthError
from broker_core.inbox import Inbox, NewestInbox
from broker_core.subscriptions import CallbackTask, Subscription, Updates


class Failures(list):
    def note(self, item, error):
        self.append((item, type(error)))


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def failures():
    return Failures()


def subscription(inbox, gone=None):
    return Subscription(None, (), inbox, (lambda _: None) if gone is None else gone)


async def test_a_plain_function_is_called_on_the_spot(failures):
    """
    A plain function has seen the item when ``put`` returns.
    """
    got, inbox = [], Inbox()
    task = CallbackTask("x", inbox, got.append, failures.note)

    task.put(1)
    task.put(2)

    assert got == [1, 2]
    assert inbox.delivered == 2
    await task.cancel()


async def test_items_put_into_the_inbox_reach_a_plain_function(failures):
    """
    What comes through the inbox is delivered too, in order with what comes by ``put``.
    """
    got, inbox = [], Inbox()
    task = CallbackTask("x", inbox, got.append, failures.note)

    inbox.put(1)
    task.put(2)
    await turns()
    task.put(3)

    assert got == [1, 2, 3]
    await task.cancel()


async def test_an_async_function_is_awaited_before_the_next_item(failures):
    """
    An async function has ended with one item before it is called with the next.
    """
    log, gate, inbox = [], asyncio.Semaphore(0), Inbox()

    async def callback(item):
        log.append(f"begin {item}")
        await gate.acquire()
        log.append(f"end {item}")

    task = CallbackTask("x", inbox, callback, failures.note)
    for item in (1, 2):
        task.put(item)
    await turns()
    assert log == ["begin 1"]

    gate.release()
    gate.release()
    await turns()

    assert log == ["begin 1", "end 1", "begin 2", "end 2"]
    await task.cancel()


async def test_a_function_that_returns_something_to_await_is_async(failures):
    """
    A plain function whose answer can be awaited is awaited; any other answer is ignored.
    """
    done = []

    async def later(item):
        await asyncio.sleep(0)
        done.append(item)

    task = CallbackTask("x", Inbox(), lambda item: later(item) if item > 1 else "thanks", failures.note)
    for item in (1, 2, 3):
        task.put(item)
    await turns(10)

    assert done == [2, 3]
    await task.cancel()


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, StopIteration])
async def test_a_raising_plain_function_stays(failures, error):
    """
    What a plain function raises is noted with its item, and the next item comes.
    """

    def callback(item):
        if item == 1:
            raise error

    inbox = Inbox()
    task = CallbackTask("x", inbox, callback, failures.note)
    task.put(1)
    task.put(2)

    assert failures == [(1, error)]
    assert inbox.delivered == 2
    await task.cancel()


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_raising_async_function_stays(failures, error):
    """
    What an async function raises is noted with its item, also a cancellation it stumbled over, and the next item comes.
    """
    got = []

    async def callback(item):
        if item == 1:
            raise error
        got.append(item)

    task = CallbackTask("x", Inbox(), callback, failures.note)
    for item in (1, 2):
        task.put(item)
    await turns()

    assert failures == [(1, error)]
    assert got == [2]
    await task.cancel()


async def test_a_long_line_lets_others_have_their_turn(failures):
    """
    A plain function with thousands of items waiting does not keep the loop to itself.
    """
    got, inbox = [], Inbox()
    CallbackTask("x", inbox, got.append, failures.note)
    for item in range(3000):
        inbox.put(item)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(got) < 3000

    await turns(10)

    assert got == list(range(3000))


@pytest.mark.parametrize("by", ["put", "inbox"])
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_finish_loses_nothing(failures, by, kind):
    """
    Finishing delivers what has come so far and leaves no task behind.
    """
    got, inbox = [], Inbox()

    async def slow(item):
        await asyncio.sleep(0)
        got.append(item)

    task = CallbackTask("x", inbox, got.append if kind == "plain" else slow, failures.note)
    for item in range(3):
        (task if by == "put" else inbox).put(item)

    await task.finish()

    assert got == [0, 1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancel_ends_a_call_under_way(failures):
    """
    Cancelling ends an async call in its middle, delivers nothing more and leaves no task behind.
    """
    got = []

    async def callback(item):
        got.append(item)
        await asyncio.Event().wait()

    task = CallbackTask("x", Inbox(), callback, failures.note)
    task.put(1)
    task.put(2)
    await turns()

    await task.cancel()

    assert got == [1]
    assert failures == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancel_before_the_first_await_is_clean(failures, recwarn):
    """
    A call that was made but never got to run ends without a word.
    """

    async def callback(item):
        await asyncio.sleep(0)

    task = CallbackTask("x", Inbox(), callback, failures.note)
    task.put(1)

    await task.cancel()
    gc.collect()

    assert not recwarn.list


@pytest.mark.parametrize("end", ["cancel", "finish"])
async def test_a_callback_may_end_itself(failures, end):
    """
    Ending from inside the callback does not wait for itself: the call goes on to its end.
    """
    got = []

    async def callback(item):
        await getattr(task, end)()
        got.append(item)

    task = CallbackTask("x", Inbox(), callback, failures.note)
    task.put(1)
    await turns()

    assert got == [1]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_when_idle_waits_for_the_call_under_way(failures):
    """
    ``when_idle`` calls at once when nothing runs, otherwise when the last call has ended.
    """
    gate, log, inbox = asyncio.Event(), [], Inbox()

    async def callback(item):
        await gate.wait()
        log.append("ended")

    task = CallbackTask("x", inbox, callback, failures.note)
    task.when_idle(lambda: log.append("idle"))
    assert log == ["idle"]

    task.put(1)
    await turns()
    inbox.shut()
    task.when_idle(lambda: log.append("idle again"))
    gate.set()
    await turns()

    assert log == ["idle", "ended", "idle again"]


async def test_a_refusal_ends_a_callback_in_silence(failures, caplog):
    """
    A callback whose feed was refused gets what is left and ends; nobody is there to be raised to.
    """
    got, inbox = [], Inbox()

    async def callback(item):
        await asyncio.sleep(0)
        got.append(item)

    task = CallbackTask("x", inbox, callback, failures.note)
    task.put(1)
    task.put(2)
    inbox.end(AuthError("wrong key"))
    await turns(10)
    del task
    gc.collect()

    assert got == [1, 2]
    assert caplog.records == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_subscription_delivers_nothing_more(failures):
    """
    After ``cancel`` the callback is not called again, although items are still put in; a second cancel does nothing.
    """
    got, gone, inbox = [], [], NewestInbox(10)
    ticket = subscription(inbox, gone.append)
    task = CallbackTask("x", inbox, got.append, failures.note)
    task.put(1)

    ticket.cancel()
    task.put(2)
    inbox.put(3)
    await turns()
    ticket.cancel()

    assert got == [1]
    assert gone[0] is ticket


async def test_raising_is_logged_once_and_counted(caplog):
    """
    The first error of a callback is logged in full, all are counted.
    """

    def broken(item):
        raise ValueError(f"cannot do {item}")

    inbox = NewestInbox(2)
    ticket = subscription(inbox)
    task = CallbackTask("x", inbox, broken, ticket.callback_raised)
    for item in range(3):
        task.put(item)

    assert (ticket.counters.delivered, ticket.counters.raised) == (3, 3)
    assert "cannot do 0" in caplog.text
    assert "cannot do 1" not in caplog.text
    await task.cancel()


async def test_an_iterator_gives_items_and_ends():
    """
    An iterator gives what comes, counts it, and its loop ends when the inbox has ended.
    """
    inbox = Inbox()
    updates = Updates(subscription(inbox))
    inbox.put(1)
    asyncio.get_running_loop().call_soon(inbox.put, 2)
    asyncio.get_running_loop().call_soon(inbox.end)

    assert [item async for item in updates] == [1, 2]
    assert updates.counters.delivered == 2


async def test_an_iterator_raises_a_refusal():
    """
    An iterator whose feed was refused gives what is left and then raises.
    """
    inbox = Inbox()
    updates = Updates(subscription(inbox))
    inbox.put(1)
    inbox.end(AuthError("wrong key"))

    assert await anext(updates) == 1
    with pytest.raises(AuthError, match="wrong key"):
        await anext(updates)


async def test_break_unsubscribes():
    """
    A loop left by ``break`` leaves no subscription behind.
    """
    gone, inbox = [], Inbox()
    inbox.put(1)

    async for _ in Updates(subscription(inbox, gone.append)):
        break
    await turns()

    assert len(gone) == 1


async def test_an_iterator_that_is_kept_goes_on():
    """
    An iterator that still has a name can be looped over again after a break.
    """
    gone, inbox = [], Inbox()
    updates = Updates(subscription(inbox, gone.append))
    inbox.put(1)
    inbox.put(2)
    async for _ in updates:
        break
    await turns()

    assert gone == []
    assert await anext(updates) == 2


async def test_closing_an_iterator_ends_its_loop():
    """
    ``aclose``, also by ``async with``, unsubscribes and ends a loop that waits.
    """
    gone, inbox = [], Inbox()
    async with Updates(subscription(inbox, gone.append)) as updates:
        looping = asyncio.create_task(anext(updates))
        await turns()
    with pytest.raises(StopAsyncIteration):
        await looping

    assert len(gone) == 1


async def test_an_iterator_collected_in_another_thread_unsubscribes_on_the_loop():
    """
    Whichever thread collects a forgotten iterator, its subscription is cancelled on the loop's own.
    """
    threads = []
    holder = [Updates(subscription(Inbox(), lambda _: threads.append(threading.current_thread())))]

    other = threading.Thread(target=holder.clear)
    other.start()
    other.join()
    await turns()

    assert threads == [threading.main_thread()]
