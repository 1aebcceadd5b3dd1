"""Typed access to the parameters of a vtkMRMLScriptedModuleNode, and their connection to widgets.

The types are those a small module uses: int, float, str, bool, enums, paths, MRML nodes and lists of them, with
validators in ``Annotated``.
As in Slicer, a wrong type or a value that a validator refuses raises, and so does a widget that doesn't suit its type.
"""

import collections.abc
import enum
import logging
import pathlib
import typing
import weakref
from typing import Annotated

import ctk
import qt
import slicer
import vtk

__all__ = [
    "Choice",
    "Default",
    "Exclude",
    "IsInstance",
    "Maximum",
    "Minimum",
    "NotNone",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]

SlicerParameterNamePropertyName = "SlicerParameterName"


# Annotations


class Default:
    """The value of a parameter that was never set."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value


class Validator:
    """A condition on a value: ``validate`` raises if it doesn't hold."""

    def validate(self, value):
        raise NotImplementedError


class NotNone(Validator):
    """There must be a value."""

    def validate(self, value):
        if value is None:
            raise ValueError("Value must not be None")


class IsInstance(Validator):
    """The value, if any, must be of a type (or one of a tuple of types)."""

    def __init__(self, classtype):
        self.classtype = classtype

    def validate(self, value):
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type {self.classtype}, is {value!r}")


class WithinRange(Validator):
    """minimum <= value <= maximum."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


class Minimum(Validator):
    """minimum <= value."""

    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must not be less than {self.minimum}, is {value}")


class Maximum(Validator):
    """value <= maximum."""

    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must not be greater than {self.maximum}, is {value}")


class Choice(Validator):
    """The value must be one of the choices."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value!r}")


class Exclude(Validator):
    """The value must not be one of these."""

    def __init__(self, excludedValues):
        self.excludedValues = excludedValues

    def validate(self, value):
        if value in self.excludedValues:
            raise ValueError(f"Value must not be one of {self.excludedValues}, is {value!r}")


def _findAnnotation(annotations, kind):
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)


# Parameters


class _Parameter:
    """The name, type and conditions of a parameter, and how it is kept as a text in the node."""

    initial = None
    validators = (NotNone(),)

    def __init__(self, name, type_, annotations):
        self.name, self.type, self.annotations = name, type_, annotations
        default = _findAnnotation(annotations, Default)
        self.default = default or Default(generator=lambda: self.initial)
        instance = IsInstance((int, float) if type_ is float else type_)
        own = [annotation for annotation in annotations if isinstance(annotation, Validator)]
        self.validators = [*self.validators, instance, *own]
        unused = [annotation for annotation in annotations if not isinstance(annotation, Validator | Default)]
        if unused:
            logging.warning(f"Unused annotations: {unused}")

    @property
    def serializer(self):
        """What Slicer's parameters have for this class's methods from isIn to remove, which there take the name."""
        return _Serializer(self)

    def isIn(self, node):
        return node.HasParameter(self.name)

    def read(self, node):
        if not self.isIn(node):
            self.write(node, self.default.value)
        return self.fromText(node.GetParameter(self.name))

    def write(self, node, value):
        for validator in self.validators:
            validator.validate(value)
        node.SetParameter(self.name, str(value))

    def remove(self, node):
        node.UnsetParameter(self.name)

    def fromText(self, text):
        return self.type(text)


class _Serializer:
    def __init__(self, parameter):
        self._parameter = parameter

    def isIn(self, node, name):
        return self._parameter.isIn(node)

    def read(self, node, name):
        return self._parameter.read(node)

    def validate(self, value):
        for validator in self._parameter.validators:
            validator.validate(value)


class _NumberParameter(_Parameter):
    initial = 0


class _TextParameter(_Parameter):
    initial = ""


class _BoolParameter(_Parameter):
    initial = False

    def fromText(self, text):
        return text == "True"


class _PathParameter(_Parameter):
    @property
    def initial(self):
        return self.type()


class _EnumParameter(_Parameter):
    validators = ()  # None fails as well, but as what has no name

    @property
    def initial(self):
        return next(iter(self.type))

    def write(self, node, value):
        for validator in self.validators:
            validator.validate(value)
        node.SetParameter(self.name, value.name)

    def fromText(self, text):
        if text not in self.type.__members__:
            raise ValueError(f"Found {text!r} in parameter node but it is not a name in {self.type!r}")
        return self.type[text]


class _ObservedList(collections.abc.MutableSequence):
    """What a list parameter reads as: who changes it changes the parameter. It takes part in no sum, see ``+=``."""

    def __init__(self, parameter, node, values):
        self._parameter, self._node, self._values = parameter, node, values

    def __eq__(self, other):
        return self._values == (other._values if isinstance(other, _ObservedList) else other)

    def __len__(self):
        return len(self._values)

    def __getitem__(self, index):
        return self._values[index]

    def __setitem__(self, index, value):
        self._values[index] = value
        self._write()

    def __delitem__(self, index):
        del self._values[index]
        self._write()

    def insert(self, index, value):
        self._values.insert(index, value)
        self._write()

    def _write(self):
        try:
            self._parameter.write(self._node, self._values)
        finally:
            self._values = self._parameter.read(self._node)._values


class _ListParameter(_Parameter):
    """Each element is a parameter ``<name>.<index>``; their number is ``<name>.len``."""

    initial = ()

    def __init__(self, name, type_, annotations):
        super().__init__(name, collections.abc.Sequence, annotations)
        self._elementType = typing.get_args(type_)[0]
        self._length = _makeParameter(f"{name}.len", int)

    def _element(self, index):
        return _makeParameter(f"{self.name}.{index}", self._elementType)

    def _lengthIn(self, node):
        return self._length.read(node) if self.isIn(node) else 0

    def isIn(self, node):
        return self._length.isIn(node)

    def read(self, node):
        if not self.isIn(node):
            self.write(node, self.default.value)
        return _ObservedList(self, node, [self._element(index).read(node) for index in range(self._length.read(node))])

    def write(self, node, value):
        for validator in self.validators:
            validator.validate(value)
        with slicer.util.NodeModify(node):
            before = list(self.read(node)) if self.isIn(node) else None
            try:
                for index, element in enumerate(value):
                    self._element(index).write(node, element)
                for index in range(len(value), self._lengthIn(node)):
                    self._element(index).remove(node)
                self._length.write(node, len(value))
            except Exception:
                self.remove(node) if before is None else self.write(node, before)
                raise

    def remove(self, node):
        with slicer.util.NodeModify(node):
            for index in range(self._lengthIn(node)):
                self._element(index).remove(node)
            self._length.remove(node)


class _NodeParameter(_Parameter):
    """A node is a reference; the empty text only says that it was set. As in Slicer it is kept as any other value."""

    validators = ()

    def read(self, node):
        if not self.isIn(node):
            self.write(node, self.default.value)
        return node.GetNodeReference(self.name)

    def write(self, node, value):
        for validator in self.validators:
            validator.validate(value)
        node.SetParameter(self.name, "")
        node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)

    def remove(self, node):
        node.UnsetParameter(self.name)
        node.RemoveNodeReferenceIDs(self.name)


_parameterClasses = {int: _NumberParameter, float: _NumberParameter, str: _TextParameter, bool: _BoolParameter}


def _makeParameter(name, hint):
    # One more annotation makes plain and annotated types alike.
    type_, *annotations = typing.get_args(Annotated[hint, None])[:-1]
    if typing.get_origin(type_) is list:
        return _ListParameter(name, type_, annotations)
    alternatives = [kind for kind in typing.get_args(type_) if kind is not type(None)]
    if len(alternatives) == 1:  # Node | None: None is a value of every node parameter anyway
        type_ = alternatives[0]
    kind = _parameterClasses.get(type_)
    if isinstance(type_, type) and issubclass(type_, pathlib.PurePath):
        kind = _PathParameter
    elif isinstance(type_, type) and issubclass(type_, enum.Enum):
        kind = _EnumParameter
    elif isinstance(type_, type) and issubclass(type_, slicer.vtkMRMLNode):
        kind = _NodeParameter
    if kind is None or (alternatives and kind is not _NodeParameter):
        raise TypeError(f"Unable to create serializer for member {name}: the host has none for {hint}")
    return kind(name, type_, annotations)


# Widgets


class _Connector:
    """How a value is read from a kind of widget and written to it; derived classes name property and signal."""

    def __init__(self, widget, parameter):
        self.widget, self.parameter, self.callback = widget, parameter, None

    def onChanged(self, callback):
        signal = getattr(self.widget, self.signal)
        if callback:
            self.callback = callback
            signal.connect(self.changed)
        else:
            signal.disconnect(self.changed)
            self.callback = None

    def changed(self, *_):
        if self.callback:
            self.callback()

    def read(self):
        return getattr(self.widget, self.property)

    def write(self, value):
        setattr(self.widget, self.property, value)


class _CheckBoxConnector(_Connector):
    property, signal = "checked", "stateChanged"


class _PushButtonConnector(_Connector):
    property, signal = "checked", "toggled"

    def __init__(self, widget, parameter):
        super().__init__(widget, parameter)
        widget.checkable = True


class _NumberConnector(_Connector):
    property, signal = "value", "valueChanged"

    def __init__(self, widget, parameter):
        super().__init__(widget, parameter)
        limits = _findAnnotation(parameter.annotations, WithinRange)
        minimum = limits or _findAnnotation(parameter.annotations, Minimum)
        maximum = limits or _findAnnotation(parameter.annotations, Maximum)
        if isinstance(widget, (qt.QSlider, ctk.ctkSliderWidget)) and not (minimum and maximum):
            raise RuntimeError(f"A slider needs a range: parameter {parameter.name} has none")
        integer = isinstance(widget, (qt.QSlider, qt.QSpinBox))
        if parameter.type is int and not integer:
            widget.decimals = 0
        widget.setMinimum(minimum.minimum if minimum else -(2**31) if integer else float("-inf"))
        widget.setMaximum(maximum.maximum if maximum else 2**31 - 1 if integer else float("inf"))

    def read(self):
        return self.parameter.type(self.widget.value)


class _ComboBoxConnector(_Connector):
    signal = "currentIndexChanged"

    def __init__(self, widget, parameter):
        super().__init__(widget, parameter)
        choice = _findAnnotation(parameter.annotations, Choice)
        if choice is None:
            raise RuntimeError(f"A combo box needs the Choice annotation: parameter {parameter.name} has none")
        self.choices = list(choice.choices)
        widget.clear()
        for value in self.choices:
            widget.addItem(str(value))

    def read(self):
        return self.choices[self.widget.currentIndex]

    def write(self, value):
        self.widget.currentIndex = self.choices.index(value)


class _EnumComboBoxConnector(_Connector):
    signal = "currentIndexChanged"

    def __init__(self, widget, parameter):
        super().__init__(widget, parameter)
        self.values = list(parameter.type)
        label = getattr(parameter.type, "label", lambda value: value.name)
        widget.clear()
        for value in self.values:
            widget.addItem(label(value))

    def read(self):
        return self.values[self.widget.currentIndex]

    def write(self, value):
        self.widget.currentIndex = self.values.index(value)


class _LineEditConnector(_Connector):
    property, signal = "text", "textChanged"

    def write(self, value):
        if value != self.widget.text:  # else the cursor would jump while the person types
            self.widget.text = value


class _PathConnector(_Connector):
    property, signal = "currentPath", "currentPathChanged"

    def read(self):
        return self.parameter.type(self.widget.currentPath)

    def write(self, value):
        self.widget.currentPath = str(value)


# As in Slicer the widget's class is compared as it is: derived classes don't count.
_connectors = {
    (qt.QCheckBox, _BoolParameter): _CheckBoxConnector,
    (qt.QPushButton, _BoolParameter): _PushButtonConnector,
    (qt.QDoubleSpinBox, _NumberParameter): _NumberConnector,
    (ctk.ctkSliderWidget, _NumberParameter): _NumberConnector,
    (qt.QSpinBox, _NumberParameter): _NumberConnector,
    (qt.QSlider, _NumberParameter): _NumberConnector,
    (qt.QLineEdit, _TextParameter): _LineEditConnector,
    (ctk.ctkPathLineEdit, _PathParameter): _PathConnector,
    (qt.QComboBox, _EnumParameter): _EnumComboBoxConnector,
    (qt.QComboBox, _TextParameter): _ComboBoxConnector,
    (qt.QComboBox, _NumberParameter): _ComboBoxConnector,
    (qt.QComboBox, _BoolParameter): _ComboBoxConnector,
}


def _makeConnector(widget, parameter):
    connector = _connectors.get((type(widget), type(parameter)))
    integersOnly = type(widget) in (qt.QSpinBox, qt.QSlider)
    if connector is None or (integersOnly and parameter.type is not int):
        raise RuntimeError(
            f"Unable to create GUI connector from datatype '{parameter.type}' to widget type '{type(widget)}'"
        )
    return connector(widget, parameter)


# The wrapper


class _Kept:
    """The value of one parameter, kept as Slicer keeps it: read at once and whenever the node reports a change.

    Not when it is asked for. So what a node comes to have without a ModifiedEvent afterwards, as the references of a
    scene that is imported, is not seen; and a text that cannot be read raises within the node's event.
    """

    def __init__(self, parameter, node):
        self._parameter, self._node = parameter, node
        self._isWriting = False
        self.value = parameter.read(node)
        me = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me()._onModified())

    def __del__(self):
        if hasattr(self, "_tag"):
            self._node.RemoveObserver(self._tag)

    def _onModified(self):
        if not self._isWriting:
            self.value = self._parameter.read(self._node)

    def write(self, value):
        self._isWriting = True
        try:
            with slicer.util.NodeModify(self._node):  # what is written is read before anybody hears of it
                self._parameter.write(self._node, value)
                self.value = self._parameter.read(self._node)
        finally:
            self._isWriting = False


class _Wrapper:
    """What parameterNodeWrapper adds to a class."""

    allParameters = {}

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._connections = {}
        self._nextTag = 0
        self._writingGui = False
        self._kept = {}
        for name in self.allParameters:
            parameter = self._parameter(name)
            if prefix:
                parameter = _makeParameter(prefix + name, self._hints[name])
                parameter.default = self._parameter(name).default
            if not parameter.isIn(parameterNode):
                parameter.write(parameterNode, parameter.default.value)
            self._kept[name] = _Kept(parameter, parameterNode)

    def _parameter(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}, only {list(self.allParameters)}")
        return self.allParameters[name]

    def default(self, paramName):
        """The parameter's default (its ``value``)."""
        return self._parameter(paramName).default

    def dataType(self, paramName):
        """The parameter's type, as annotated."""
        self._parameter(paramName)
        return self._hints[paramName]

    def isCached(self, paramName):
        """Whether the value is kept; all of the host's are."""
        self._parameter(paramName)
        return True

    def getValue(self, name):
        """The parameter's value."""
        self._parameter(name)
        return self._kept[name].value

    def setValue(self, name, value):
        """Set the parameter; raises if the value is not allowed."""
        self._parameter(name)
        self._kept[name].write(value)

    def connectGui(self, gui):
        """Connect each widget that has the property SlicerParameterName to this parameter, in both directions.

        :param gui: a widget, whose children are meant, or an object that has the widgets as attributes.
        :return: a tag for disconnectGui.
        """
        isWidget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if isWidget else vars(gui).values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping):
        """Connect parameters, by name, to widgets; returns a tag for disconnectGui."""
        connectors = {name: _makeConnector(widget, self._parameter(name)) for name, widget in mapping.items()}
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._readGui(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._writeGui())
        self._connections[tag] = connectors, observer
        return tag

    def disconnectGui(self, tag):
        """Undo connectGui."""
        connectors, observer = self._connections.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.onChanged(None)
        if observer is not None:
            self.RemoveObserver(observer)

    def _readGui(self, name, connector):
        if not self._writingGui:
            with slicer.util.NodeModify(self):
                self.setValue(name, connector.read())

    def _writeGui(self):
        if self._writingGui:
            return
        self._writingGui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _ in list(self._connections.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._writingGui = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def Modified(self):
        self.parameterNode.Modified()

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)


def parameterNodeWrapper(classtype=None):
    """Class decorator: every annotated member becomes a parameter, kept in the parameter node given to the class."""
    if classtype is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(classtype, include_extras=True)
    reserved = [name for name in vars(_Wrapper) if not name.startswith("__")]
    for name in reserved:
        if hasattr(classtype, name) or name in hints:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    parameters = {name: _makeParameter(name, hint) for name, hint in hints.items()}
    for name, parameter in parameters.items():
        if hasattr(classtype, name):  # "member: int = 3" goes before Annotated[int, Default(3)]
            parameter.default = Default(getattr(classtype, name))
        setattr(
            classtype,
            name,
            property(
                lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)
            ),
        )
    for name in [*reserved, "__init__"]:
        setattr(classtype, name, vars(_Wrapper)[name])
    classtype.allParameters = parameters
    classtype._hints = hints
    classtype._is_parameter_node_wrapper = True
    return classtype


def isParameterNodeWrapper(classOrObj):
    """True for a class that was decorated, and for its objects."""
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget, parameter):
    """The child widget that is meant for a parameter, or None."""
    children = widget.findChildren(qt.QWidget)
    return next((child for child in children if child.property(SlicerParameterNamePropertyName) == parameter), None)
