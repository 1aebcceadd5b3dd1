"""Views render as Slicer's do, and a frame comes to the screen at once without disturbing anybody."""

import time

import pytest

from support.helpers import SAMPLE_CLIP, settled


@pytest.fixture
def views(app):
    """The views of the layout four-up, which have rendered: by their names, the 3D view first."""
    import slicer

    layout = slicer.app.layoutManager()
    before = layout.layout
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    views = {view.objectName: view for view in sorted(layout.views(), key=lambda view: view is not app.view)}
    assert app.spin(lambda: all(view.renderCount for view in views.values()))
    app.spin(timeout=0.1)
    yield views
    layout.setLayout(before)


@pytest.fixture
def frame(app, logic):
    """A frame with a hand; Live is off again."""
    logic.setSource(SAMPLE_CLIP)
    logic.start()
    assert app.spin(lambda: logic.frame and logic.frame.hands, timeout=60)
    logic.stop()
    settled(app, logic)
    app.spin(timeout=0.1)
    logic.rendering._notBefore = logic.rendering._viewsKnownUntil = 0.0  # of an earlier test
    return logic.frame


@pytest.fixture
def unscheduled(monkeypatch):
    """Views that would wait for minutes until they render by themselves."""
    from host.widgets import ctkVTKAbstractView

    monkeypatch.setattr(ctkVTKAbstractView, "MAXIMUM_UPDATE_RATE", 0.005)


@pytest.fixture
def counted(views):
    """How often each view has rendered since."""
    before = {name: view.renderCount for name, view in views.items()}
    return lambda: [view.renderCount - before[name] for name, view in views.items()]


# The host's views


def test_requests_become_one_render(app, views, counted):
    for _time in range(5):
        for view in views.values():
            view.scheduleRender()
    views["View1"].interactor().Render()  # as an interactor style does
    assert counted() == [0, 0, 0, 0]
    assert app.spin(lambda: min(counted()) == 1)
    app.spin(timeout=0.1)
    assert counted() == [1, 1, 1, 1]


def test_a_render_by_force_does_what_was_scheduled(app, views, counted):
    views["Red"].scheduleRender()
    views["Red"].forceRender()
    app.spin(timeout=0.1)
    assert counted() == [0, 1, 0, 0]


def test_what_is_scheduled_while_paused_comes_afterwards(app, views, counted):
    import slicer

    slicer.app.pauseRender()
    for view in views.values():
        view.scheduleRender()
    app.spin(timeout=0.1)
    assert counted() == [0, 0, 0, 0]
    slicer.app.resumeRender()
    assert app.spin(lambda: counted() == [1, 1, 1, 1])


def test_slice_views_show_where_they_cut_the_surface(app, logic, views, frame):
    import numpy as np
    import slicer

    views["Red"].mrmlSliceNode().SetSliceOffset(1000.0)
    empty = views["Red"].image()
    logic.showFrame(frame)
    hand = slicer.util.arrayFromMarkupsControlPoints(logic.getParameterNode().rightLandmarks, world=True)
    assert (views["Red"].image() == empty).all()
    views["Red"].mrmlSliceNode().JumpSliceByCentering(*hand.mean(axis=0))
    assert np.count_nonzero(views["Red"].image() != empty) > 100


# Rendering at once


def test_each_frame_renders_each_view_once(app, logic, views, frame, counted, unscheduled):
    for number in range(1, 4):
        logic.rendering._notBefore = 0.0  # as if they came at long intervals
        logic.showFrame(frame)
        assert counted() == 4 * [number - 1]  # not in the slot itself
        assert app.spin(lambda number=number: min(counted()) == number)
        app.spin(timeout=0.05)
        assert counted() == 4 * [number]


def test_a_view_never_renders_more_often_than_the_display(app, logic, views, frame, counted, unscheduled, monkeypatch):
    monkeypatch.setattr(type(logic.rendering), "SCHEDULED_S", 1000.0)
    for _time in range(3):
        logic.showFrame(frame)
        app.spin(timeout=0.05)
    assert counted() == [1, 1, 1, 1]
    assert all(view._requestedAt for view in views.values())  # the rest is left to Slicer


def test_views_rest_as_long_as_they_rendered(app, logic, views, frame):
    logic.showFrame(frame)
    assert app.spin(lambda: logic.rendering._notBefore)
    took = sum(logic.rendering._took.values())
    assert logic.rendering._notBefore >= logic.rendering._begin + 2 * took


def test_switched_off_it_is_left_to_slicer(app, logic, views, frame, counted, unscheduled):
    logic.rendering.isOn = False
    logic.showFrame(frame)
    app.spin(timeout=0.1)
    assert counted() == [0, 0, 0, 0]
    logic.rendering.isOn = True


def test_events_of_the_user_come_first(app, logic, views, frame, unscheduled):
    """Before the first view renders and between one view and the next."""
    import qt

    order = []
    view = views["View1"]

    def move() -> None:
        place = qt.QPointF(20.0, 30.0)
        buttons = qt.Qt.NoButton, qt.Qt.NoButton, qt.Qt.NoModifier
        qt.QApplication.postEvent(view, qt.QMouseEvent(qt.QEvent.MouseMove, place, place, *buttons))

    def onRendered(*_) -> None:
        order.append("render")
        move()

    tags = [(one.renderWindow(), one.renderWindow().AddObserver("EndEvent", onRendered)) for one in views.values()]
    tags.append((view.interactor(), view.interactor().AddObserver("MouseMoveEvent", lambda *_: order.append("move"))))
    logic.showFrame(frame)
    move()
    assert app.spin(lambda: order.count("render") == 4)
    for observed, tag in tags:
        observed.RemoveObserver(tag)
    assert order[:8] == 4 * ["move", "render"]


def test_a_thread_that_is_expected_comes_first(app, logic, views, frame, counted, unscheduled, monkeypatch):
    from LiveHandLib.threads import gil

    rendering = logic.rendering
    logic.showFrame(frame)
    rendering._timer.stop()
    assert len(rendering._due) == 4
    rendering._took = dict.fromkeys(views.values(), 1.0)
    monkeypatch.setattr(gil.lender().schedule, "expected", lambda: (time.perf_counter() + 0.005,) * 2)
    rendering._onTimeout()
    assert counted() == [0, 0, 0, 0] and rendering._timer.isActive()
    rendering._onTimeout()
    assert counted() == [1, 0, 0, 0]
    rendering._took = dict.fromkeys(views.values(), 0.0)
    rendering._onTimeout()
    assert counted() == [1, 1, 0, 0]


def test_paused_and_hidden_views_do_not_render(app, logic, views, frame, counted, unscheduled):
    views["Red"].pauseRender()
    views["Green"].hide()
    logic.rendering._viewsKnownUntil = 0.0
    logic.showFrame(frame)
    assert app.spin(lambda: counted() == [1, 0, 0, 1])
    app.spin(timeout=0.05)
    assert counted() == [1, 0, 0, 1] and views["Red"].isRenderPaused()
    views["Red"].resumeRender()


def test_a_3d_view_without_the_hand_is_left_alone(app, logic, views, frame, counted, unscheduled):
    for node in logic.display.nodes():
        node.GetDisplayNode().AddViewNodeID("vtkMRMLViewNodeOther")
    logic.rendering._viewsKnownUntil = 0.0
    logic.showFrame(frame)
    assert app.spin(lambda: counted() == [0, 1, 1, 1])
    app.spin(timeout=0.05)
    assert counted() == [0, 1, 1, 1]


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_a_view_that_is_gone_does_no_harm(app, logic, views, frame, counted, unscheduled, error):
    class Deleted:
        def pauseRender(self):
            raise error("Trying to call 'pauseRender' on a destroyed object")

    logic.showFrame(frame)
    logic.rendering._due.appendleft(Deleted())
    app.spin(timeout=0.05)
    assert counted() == [0, 0, 0, 0]
    logic.showFrame(frame)
    assert app.spin(lambda: counted() == [1, 1, 1, 1])


def test_user_turns_the_view_while_live(app, widget, views, unscheduled):
    """Each of the user's movements comes to the view, and no frame renders a view twice."""
    import qt

    logic, view = widget.logic, views["View1"]
    logic.rendering._notBefore = 0.0
    frames, moves, sent = [], [], []
    logic.worker.tracked.connect(frames.append)
    tag = view.interactor().AddObserver("MouseMoveEvent", lambda *_: moves.append(len(frames)))

    def move() -> None:
        sent.append(True)
        place = qt.QPointF(20.0 + len(sent), 30.0)
        buttons = qt.Qt.NoButton, qt.Qt.LeftButton, qt.Qt.NoModifier
        qt.QApplication.postEvent(view, qt.QMouseEvent(qt.QEvent.MouseMove, place, place, *buttons))

    timer = qt.QTimer()
    timer.timeout.connect(move)
    logic.setSource(SAMPLE_CLIP)
    logic.getParameterNode().everyFrame = True
    logic.start()
    assert app.spin(lambda: len(frames) > 10, timeout=60)  # the first hand is centered meanwhile
    before, first = view.renderCount, len(frames)
    timer.start(10)
    assert app.spin(lambda: len(frames) > first + 40, timeout=60, interval=0.1)
    timer.stop()
    assert 0 < view.renderCount - before <= len(frames) - first + 1
    app.spin(timeout=0.05)
    view.interactor().RemoveObserver(tag)
    logic.worker.tracked.disconnect(frames.append)
    assert len(moves) == len(sent) and len(set(moves)) > 5
