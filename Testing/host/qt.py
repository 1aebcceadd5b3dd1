"""Slicer's flat ``qt`` module, made of PySide6 under the rules of PythonQt.

In PythonQt, unlike in PySide:

* a Qt property is an attribute (``box.checked``, ``label.text = "..."``), so that a getter named as its
  property can't be called (``label.text()`` fails) while any other getter and every setter can;
  ``objectName`` is ``name`` too
* C++ objects take no new attributes: a mistyped property name is an error
* ``obj.connect("signal(types)", callable)`` and ``disconnect``; ``findChildren("ClassName")``; ``className()``;
  ``delete()``; ``exec_()``; lists of Qt objects come as tuples
* ``QFileDialog.getOpenFileName`` and its like return the one value, without the filter or the ``ok`` flag
* ``QSettings.value`` has no ``type``
* blocking calls keep the GIL. Here, those that wait for another thread raise when they are made in the
  GUI thread (Slicer would hang), and ``QThread.sleep`` and its like always (nothing else in Python would run)

Differences that remain, so that code must avoid them by itself: PythonQt takes no keyword arguments in C++ calls;
it knows no enum type but int; it crashes in a Python ``QThread.run`` unless its GIL scopes were switched on;
its modal dialogs (``exec``) keep the GIL; a wrong type for a property is an AttributeError there and a TypeError here,
and a number for a string property is accepted there; connecting an unknown signal is a console message and ``False``
there, and a ValueError here.

In a process with a real PythonQt this file is never imported: its ``qt`` is in ``sys.modules`` already.
"""

import builtins
import functools
import threading
import types

_import = builtins.__import__

import shiboken6  # noqa: E402
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets  # noqa: E402

# PySide takes part in every import statement from then on, for its __feature__ switch; PythonQt does not.
builtins.__import__ = _import

# getattr, not vars(): PySide creates its classes when they are first asked for.
for _module in (QtCore, QtGui, QtWidgets, QtUiTools):
    globals().update({name: getattr(_module, name) for name in dir(_module) if not name.startswith("_")})

_objectClasses = [c for c in list(globals().values()) if isinstance(c, type) and issubclass(c, QtCore.QObject)]
_methodType = type(QtCore.QObject.setObjectName)


# Properties are attributes


class _Property:
    """A Qt property as PythonQt shows it: its value on an object; on the class still Qt's own method."""

    def __init__(self, name, method, writable):
        self.name, self.method, self.writable = name, method, writable
        capital = name[0].upper() + name[1:]
        self.getters, self.setter = ("is" + capital, "has" + capital), "set" + capital

    def __get__(self, obj, owner=None):
        if obj is None:
            return self.method or self
        if self.method:
            return self.method(obj)
        # Looked up in the object's class, where the method may be redefined (QDialog.setVisible).
        getter = next(filter(None, (getattr(type(obj), name, None) for name in self.getters)), None)
        return getter(obj) if getter else obj.property(self.name)

    def __set__(self, obj, value):
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(obj).__name__} is not writable")
        setter = getattr(type(obj), self.setter, None)
        if setter:
            setter(obj, value)
        elif not obj.setProperty(self.name, value):
            raise AttributeError(f"Property '{self.name}' of {type(obj).__name__} does not accept {value!r}")


def _showProperties(cls):
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        name, writable = meta.property(index).name(), meta.property(index).isWritable()
        own = cls.__dict__.get(name)
        # Inherited properties need care only where the class redefines the getter, as QLabel does sizeHint.
        # A static method of the same name wins in PythonQt as well (QTimer.singleShot).
        if isinstance(own, _methodType) or (own is None and index >= meta.propertyOffset()):
            setattr(cls, name, _Property(name, own, writable))


for _class in _objectClasses:
    _showProperties(_class)
QtCore.QObject.name = _Property("objectName", QtCore.QObject.__dict__["objectName"].method, True)


_assign = shiboken6.Shiboken.Object.__setattr__


def _setKnownAttribute(self, name, value):
    cls = type(self)
    if cls.__module__.startswith("PySide6.") and not hasattr(cls, name):
        raise AttributeError(
            f"'{name}' does not exist on {cls.__name__} and creating new attributes on C++ objects is not allowed"
        )
    declared = getattr(cls, name, None)
    if isinstance(declared, QtCore.Property):  # declared in Python, and no descriptor
        if not declared.fset:
            raise AttributeError(f"Property '{name}' of {cls.__name__} is not writable")
        declared.fset(self, value)
    else:
        _assign(self, name, value)


for _class in _objectClasses:  # Every PySide class has a __setattr__ of its own.
    _class.__setattr__ = _setKnownAttribute


# Connections, children, names

_qtConnect, _qtDisconnect = QtCore.QObject.connect, QtCore.QObject.disconnect


def _signal(obj, signature):
    signature = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    if obj.metaObject().indexOfSignal(signature) < 0:
        raise ValueError(f"signal '{signature}' does not exist on {obj.className()}")
    return "2" + signature  # what the SIGNAL() macro makes of it


def _slot(receiver, name=None):
    return getattr(receiver, name.partition("(")[0]) if name else receiver


def _connect(self, signature, *receiver):
    """Connect a signal, given by its signature, to a callable, or to an object and the name of its slot."""
    if not isinstance(signature, str):
        return _qtConnect(signature, *receiver)  # PySide itself, in QTimer.singleShot: (sender, signal, ...)
    return bool(_qtConnect(self, _signal(self, signature), _slot(*receiver)))


def _disconnect(self, signature, *receiver):
    """Undo what connect() did; True if there was such a connection."""
    if not isinstance(signature, str):
        return _qtDisconnect(signature, *receiver)
    return bool(_qtDisconnect(self, _signal(self, signature), _slot(*receiver)))


_qtFindChildren, _qtChildren = QtCore.QObject.findChildren, QtCore.QObject.children


def _findChildren(self, kind=QtCore.QObject, name=""):
    cls = QtCore.QObject if isinstance(kind, str) else kind
    found = _qtFindChildren(self, cls, name) if name else _qtFindChildren(self, cls)
    return tuple(child for child in found if cls is kind or child.inherits(kind))


def _replaceConnect(cls):
    # PySide finds these two, which are static methods as well, in a place of its own before the class.
    lookUp = cls.__getattribute__
    ours = {"connect": _connect, "disconnect": _disconnect}

    def getAttribute(self, name):
        return types.MethodType(ours[name], self) if name in ours else lookUp(self, name)

    return getAttribute


for _class, _function in [(c, _replaceConnect(c)) for c in _objectClasses if "__getattribute__" in c.__dict__]:
    _class.__getattribute__ = _function
QtCore.QObject.findChildren = _findChildren
QtCore.QObject.findChild = lambda self, kind=QtCore.QObject, name="": next(iter(_findChildren(self, kind, name)), None)
QtCore.QObject.children = lambda self: tuple(_qtChildren(self))
QtCore.QObject.className = lambda self: self.metaObject().className()
QtCore.QObject.delete = lambda self: shiboken6.delete(self)
for _class in (QtCore.QCoreApplication, QtCore.QEventLoop, QtWidgets.QDialog, QtWidgets.QMenu):
    _class.exec_ = _class.exec


_deleteLater = QtCore.QObject.deleteLater


def _deleteDialogLater(self):
    # slicer.util asks for this right before exec_(). Outside of an event loop, where code in Slicer never is but tests
    # are, exec_() would begin with deleting the dialog; there it is left to its parent.
    if QtCore.QThread.currentThread().loopLevel():
        _deleteLater(self)


QtWidgets.QDialog.deleteLater = _deleteDialogLater


# One value instead of a tuple


def _firstOnly(cls, *names):
    for name in names:
        function = getattr(cls, name)
        setattr(cls, name, staticmethod(functools.wraps(function)(lambda *args, f=function: f(*args)[0])))


_firstOnly(QtWidgets.QFileDialog, "getOpenFileName", "getOpenFileNames", "getSaveFileName")
_firstOnly(QtWidgets.QInputDialog, "getText", "getMultiLineText", "getInt", "getDouble", "getItem")

_settingsValue = QtCore.QSettings.value
QtCore.QSettings.value = lambda self, key, default=None: _settingsValue(self, key, default)


# Blocking calls


def _forbidInGuiThread(cls, method, unless=lambda obj: False):
    original = getattr(cls, method)

    @functools.wraps(original)
    def guarded(self, *args):
        if threading.current_thread() is threading.main_thread() and not unless(self):
            raise RuntimeError(
                f"{cls.__name__}.{method} in the GUI thread hangs Slicer: it waits for another thread"
                " and keeps the GIL that this thread needs. Wait with time.sleep in short steps."
            )
        return original(self, *args)

    setattr(cls, method, guarded)


for _class, *_methods in (
    (QtCore.QMutex, "lock"),
    (QtCore.QRecursiveMutex, "lock"),
    (QtCore.QMutexLocker, "__init__", "relock"),
    (QtCore.QReadWriteLock, "lockForRead", "lockForWrite"),
    (QtCore.QReadLocker, "__init__"),
    (QtCore.QWriteLocker, "__init__"),
    (QtCore.QSemaphore, "acquire"),
    (QtCore.QWaitCondition, "wait"),
    (QtCore.QThreadPool, "waitForDone"),
):
    for _method in _methods:
        _forbidInGuiThread(_class, _method)
_forbidInGuiThread(QtCore.QThread, "wait", unless=lambda thread: not thread.isRunning())


def _noSleep(*_):
    raise RuntimeError(
        "QThread's sleep functions keep the GIL in Slicer, so that no other Python code runs:"
        " use time.sleep, which releases it."
    )


for _method in ("sleep", "msleep", "usleep"):
    setattr(QtCore.QThread, _method, staticmethod(_noSleep))
