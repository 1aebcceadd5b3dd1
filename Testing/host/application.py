"""The application: what a scripted module finds of Slicer when it runs, and how tests and the demo drive it.

A test or the demo does this::

    application = Application()
    widget = application.showModule(application.loadModule("LiveHand/LiveHand.py"))
    ...  # what the person does: widget.ui.someCheckBox.click()
    assert application.spin(lambda: somethingHappened, timeout=5)
    application.close()
    assert not application.errors
"""

import importlib.util
import os
import shutil
import sys
import tempfile
import threading
import types
from pathlib import Path

import qt
import slicer
import slicer.i18n
import slicer.packaging
import slicer.parameterNodeWrapper
import slicer.ScriptedLoadableModule
import slicer.util
from trame_slicer.core import SlicerApp

from host import eventloop
from host.eventloop import Heartbeat  # noqa: F401  for those who import it from here
from host.widgets import MainWindow, UiLoader, qMRMLSliceView, qMRMLThreeDView, qMRMLWidget

slicer.selfTests = {}
slicer.modules = types.ModuleType("slicer.modules", "The loaded modules, by lower-case name.")
slicer.moduleNames = types.SimpleNamespace()
slicer.util.pip_install = slicer.packaging.pip_install
slicer.util.pip_uninstall = slicer.packaging.pip_uninstall
qt.QUiLoader = UiLoader


def _isHeadless():
    return sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Application:
    """Slicer without Slicer, once per process.

    :param headless: no windows; by default where there is no display.
    :param testing: what ``slicer.app.testingEnabled()`` returns: message boxes are only logged. By default as headless.
    :param settingsFolder: where the settings are kept; by default a temporary folder.
    """

    def __init__(self, headless=None, testing=None, settingsFolder=None):
        self.headless = _isHeadless() if headless is None else headless
        self.testing = self.headless if testing is None else testing
        self.errors = []  # the exceptions that nobody caught, in slots and in threads
        self._watchErrors()
        self._temporaryFolder = Path(tempfile.mkdtemp(prefix="slicer-host-"))
        if self.headless:
            os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        self._useSettings(settingsFolder or self._temporaryFolder)
        slicer.app = qSlicerApplication(self)

        self.core = SlicerApp()
        self.scene = self.core.scene
        self.view = qMRMLThreeDView(self.core)
        self.layoutManager = LayoutManager(self.core, self.view)
        self.window = MainWindow(self.layoutManager.widget)
        self.moduleManager = ModuleManager(self)
        self.currentModule = None
        self.restartRequested = False
        self._started = self._quitting = self._closed = False

        slicer.mrmlScene = self.scene
        for name in ("Sequences", "Plots"):
            logic = getattr(slicer, f"vtkSlicer{name}Logic")()
            self.core.register_module_logic(logic)
            setattr(slicer.modules, name.lower(), CoreModule(logic))
        slicer.qMRMLWidget = slicer.qSlicerWidget = qMRMLWidget
        slicer.qMRMLThreeDView = qMRMLThreeDView
        slicer.qSlicerScriptedLoadableModule = Module
        slicer.qSlicerScriptedLoadableModuleWidget = ModuleWidget
        self.window.moduleSelector = lambda: self.moduleManager
        self.window.show()

    # Modules

    def loadModule(self, path):
        """Load a scripted module from its file, as Slicer does when it starts; returns the module object."""
        return self.moduleManager.load(path)

    def showModule(self, module):
        """Switch to a module, given by its object or name (or to none); returns its ``<Name>Widget``."""
        self._start()
        if isinstance(module, str):
            module = slicer.util.getModule(module)
        if module is not self.currentModule:
            if self.currentModule:
                self.currentModule.widgetRepresentation().exit()
            self.currentModule = module
            self.window.setPanel(module and module.widgetRepresentation())
            self.window.setWindowTitle(f"{module.title} - 3D Slicer (host)" if module else "3D Slicer (host)")
            if module:
                module.widgetRepresentation().enter()
        return module and module.widgetRepresentation().self()

    # The event loop

    def exec(self, gil="kept"):
        """Run the event loop until the window is closed or ``slicer.app.exit()``; returns the exit code."""
        self._start()
        return eventloop.execute(gil)

    def spin(self, until=None, timeout=10.0, gil="kept", interval=0.01):
        """Run the event loop until ``until()`` is true, the time is over or the window is closed."""
        self._start()
        return eventloop.spin(until, timeout, gil, interval, self.window.closed)

    def _start(self):
        if not self._started:
            self._started = True
            slicer.app.startupCompleted.emit()

    def close(self):
        """Leave as Slicer does: clean up the modules, announce that the application quits, then delete everything."""
        if self._closed:
            return
        self._closed = True
        if not self._quitting:
            slicer.app.aboutToQuit.emit()
        self.window.close()
        self.scene.Clear(1)
        self.layoutManager.finalize()
        self.window.setParent(None)
        self.window.delete()
        slicer.app.processEvents()
        # PythonQt crashes at the process's end over Python's own QObjects to whose signals something is connected.
        self.moduleManager.delete()
        if eventloop.PYTHONQT:
            slicer.app.delete()
        shutil.rmtree(self._temporaryFolder, ignore_errors=True)
        self._unwatchErrors()

    def _onAboutToQuit(self):
        # Connected first of all, as in Slicer: the modules are cleaned up before others hear of it.
        if not self._quitting:
            self._quitting = True
            self.showModule(None)
            self.moduleManager.unloadAll()
            slicer.app.processEvents()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Inside

    def _useSettings(self, folder):
        qt.QCoreApplication.setOrganizationName("SlicerHost")
        qt.QCoreApplication.setApplicationName("Slicer")
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)  # so that qt.QSettings() is this file
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(folder))

    def _watchErrors(self):
        self._hooks = sys.excepthook, threading.excepthook, sys.unraisablehook

        def onException(kind, error, traceback):
            self.errors.append(error)
            self._hooks[0](kind, error, traceback)

        def onThreadException(info):
            self.errors.append(info.exc_value)
            self._hooks[1](info)

        def onUnraisable(info):
            self.errors.append(info.exc_value)
            self._hooks[2](info)

        sys.excepthook, threading.excepthook, sys.unraisablehook = onException, onThreadException, onUnraisable

    def _unwatchErrors(self):
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._hooks


if eventloop.PYTHONQT:

    class _QtApplication(qt.QObject):
        """There is a QApplication already, made in C++: this one passes on to it what it hasn't itself."""

        def __init__(self, arguments):
            super().__init__()
            self.aboutToQuit = self.instance().aboutToQuit

        def instance(self):
            return qt.QApplication.instance()

        def __getattr__(self, name):
            return getattr(qt.QApplication.instance(), name)

        def connect(self, signature, *receiver):
            sender = self if signature == "startupCompleted()" else self.instance()
            return qt.QObject.connect(sender, signature, *receiver)

        def disconnect(self, signature, *receiver):
            sender = self if signature == "startupCompleted()" else self.instance()
            return qt.QObject.disconnect(sender, signature, *receiver)

else:
    _QtApplication = qt.QApplication


class qSlicerApplication(_QtApplication):
    """``slicer.app``."""

    startupCompleted = qt.Signal()

    applicationName = "Slicer"
    applicationVersion = "5.12.0"
    majorVersion, minorVersion, revision = 5, 12, "host"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, application):
        super().__init__(sys.argv[:1])
        self._application = application
        self._pauses = 0
        self._coreIOManager = IOManager(application)
        self.temporaryPath = str(application._temporaryFolder)
        self.slicerHome = self.temporaryPath
        self.aboutToQuit.connect(application._onAboutToQuit)

    def mrmlScene(self):
        return self._application.scene

    def applicationLogic(self):
        return self._application.core.app_logic

    def layoutManager(self):
        return self._application.layoutManager

    def moduleManager(self):
        return self._application.moduleManager

    def coreIOManager(self):
        return self._coreIOManager

    ioManager = coreIOManager

    def mainWindow(self):
        return self._application.window

    def testingEnabled(self):
        return self._application.testing

    def userSettings(self):
        return qt.QSettings()

    settings = revisionUserSettings = userSettings

    @property
    def slicerUserSettingsFilePath(self):
        return qt.QSettings().fileName()

    def processEvents(self, *_):
        eventloop.processEvents()

    def pauseRender(self):
        """Don't render until resumeRender was called as often."""
        self._pauses += 1
        if self._pauses == 1:
            self._application.layoutManager.setRenderPaused(True)

    def resumeRender(self):
        self._pauses = max(0, self._pauses - 1)
        if not self._pauses:
            self._application.layoutManager.setRenderPaused(False)

    def isRenderPaused(self):
        return bool(self._pauses)

    def moduleDocumentationUrl(self, moduleName):
        return f"{self.documentationBaseUrl}user_guide/modules/{moduleName.lower()}.html"

    def startupEnvironment(self):
        return dict(os.environ)

    def commandOptions(self):
        return types.SimpleNamespace(runPythonAndExit=False, noMainWindow=False, testingEnabled=self.testingEnabled())

    def translate(self, context, text):
        return text

    def restart(self):
        """Only noted: ``Application.restartRequested``."""
        self._application.restartRequested = True


class CoreModule:
    """What a module of Slicer's own has without its panel and its tool bar: its logic."""

    def __init__(self, logic):
        self._logic = logic

    def logic(self):
        return self._logic

    def showSequenceBrowser(self, browserNode):
        """There is no tool bar to show it in."""
        return False


class Module:
    """A scripted module as the application sees it (qSlicerScriptedLoadableModule)."""

    def __init__(self, path):
        self.path = str(path)
        self.name = self.title = Path(path).stem
        self.categories, self.dependencies, self.contributors, self.associatedNodeTypes = [], [], [], []
        self.helpText = self.acknowledgementText = ""
        self.hidden = False
        self.icon = qt.QIcon()
        self._widget = None
        self._logic = slicer.vtkSlicerScriptedLoadableModuleLogic()

    def logic(self):
        """The C++ logic; the Python one is the widget's ``logic`` (slicer.util.getModuleLogic)."""
        return self._logic

    def widgetRepresentation(self):
        """The module's panel; the first call makes it."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        widget = ModuleWidget(self)
        widget.reload()
        return widget


class ModuleWidget(qMRMLWidget):
    """The parent widget of a module's ``<Name>Widget`` (qSlicerScriptedLoadableModuleWidget)."""

    def __init__(self, module):
        super().__init__()
        self.module, self.moduleName = module, module.name
        self.isEntered = False
        self._self = None
        self.setLayout(qt.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)

    def self(self):
        """The Python object."""
        return self._self

    def reload(self):
        """Make the Python object, from what ``sys.modules`` has, and set it up."""
        className = self.moduleName + "Widget"
        self._self = getattr(sys.modules[self.moduleName], className)(self)
        setattr(slicer.modules, className, self._self)
        self._call("setup")

    def setup(self):
        self._call("setup")

    def enter(self):
        self.isEntered = True
        self._call("enter")

    def exit(self):
        self.isEntered = False
        self._call("exit")

    def _call(self, method):
        # As in Slicer an exception is reported and the application goes on.
        try:
            getattr(self._self, method, lambda: None)()
        except Exception:
            sys.excepthook(*sys.exc_info())


class ModuleManager(qt.QObject):
    """Loads modules and knows them; it is the application's module selector and factory manager, too."""

    moduleAboutToBeUnloaded = qt.Signal(str)

    def __init__(self, application):
        super().__init__()
        self._application = application
        self._modules = {}

    def load(self, path):
        path = Path(path).resolve()
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        source = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = source
        spec.loader.exec_module(source)
        module = Module(path)
        module.python = getattr(source, module.name)(module)
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)
        if hasattr(module.python, "setup"):
            module.python.setup()
        return module

    def unloadAll(self):
        """Tell the modules that they go, the last one first, and delete them."""
        for name, module in reversed(list(self._modules.items())):
            self.moduleAboutToBeUnloaded.emit(name)
            if module._widget:
                module._widget.delete()
                module._widget = None
            for attribute in (name.lower(), name + "Widget"):
                vars(slicer.modules).pop(attribute, None)
        self._modules.clear()

    def module(self, name):
        """The module object, or None."""
        return self._modules.get(name)

    def modulesNames(self):
        return tuple(self._modules)

    loadedModuleNames = modulesNames

    def factoryManager(self):
        return self

    def selectModule(self, name):
        self._application.showModule(name or None)

    @property
    def selectedModule(self):
        return self._application.currentModule and self._application.currentModule.name


class LayoutManager:
    """The views, in a few of Slicer's layouts. At first there is a 3D view; others are made when they are needed.

    :ivar widget: shows them.
    """

    tableViewCount, plotViewCount = 0, 0

    # By the layout's number: row, column and their spans of each view.
    _LAYOUTS = {
        slicer.vtkMRMLLayoutNode.SlicerLayoutNone: {},
        slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView: {"View1": (0, 0, 1, 1)},
        slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView: {
            "Red": (0, 0, 1, 1), "View1": (0, 1, 1, 1), "Green": (1, 0, 1, 1), "Yellow": (1, 1, 1, 1)
        },
        slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView: {
            "View1": (0, 0, 1, 3), "Red": (1, 0, 1, 1), "Green": (1, 1, 1, 1), "Yellow": (1, 2, 1, 1)
        },
        slicer.vtkMRMLLayoutNode.SlicerLayoutDual3DView: {
            "View1": (0, 0, 1, 3), "View2": (0, 3, 1, 3),
            "Red": (1, 0, 1, 2), "Green": (1, 2, 1, 2), "Yellow": (1, 4, 1, 2)
        },
    }  # fmt: skip

    def __init__(self, core, view):
        self._core = core
        self._views = {"View1": view}
        self.widget = qt.QWidget()
        self._grid = qt.QGridLayout(self.widget)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView
        self._grid.addWidget(view, 0, 0)
        view.mrmlViewNode().SetMappedInLayout(1)

    @property
    def threeDViewCount(self):
        return len(self._threeDViews())

    def _threeDViews(self):
        return [view for view in self._views.values() if isinstance(view, qMRMLThreeDView)]

    def threeDWidget(self, which):
        views = {key: view for index, view in enumerate(self._threeDViews()) for key in (index, view.objectName)}
        view = views.get(which)
        return view and types.SimpleNamespace(threeDView=lambda: view, mrmlViewNode=view.mrmlViewNode)

    def sliceViewNames(self):
        return tuple(name for name, view in self._views.items() if isinstance(view, qMRMLSliceView))

    def sliceWidget(self, name):
        view = self._views.get(name) if name in self.sliceViewNames() else None
        return view and types.SimpleNamespace(sliceView=lambda: view, mrmlSliceNode=view.mrmlSliceNode)

    def views(self):
        """The views of the layout."""
        return [view for name, view in self._views.items() if name in self._LAYOUTS[self.layout]]

    def resetThreeDViews(self):
        for view in self._threeDViews():
            view.resetFocalPoint()

    def setLayout(self, layout):
        """Arrange the views; a layout that is not known here changes nothing."""
        places = self._LAYOUTS.get(layout)
        if places is None:
            return
        self.layout = layout
        for name in places:
            if name not in self._views:
                is3D = name.startswith("View")
                self._views[name] = qMRMLThreeDView(self._core, name[4:]) if is3D else qMRMLSliceView(self._core, name)
        for name, view in self._views.items():
            self._grid.removeWidget(view)
            if name in places:
                self._grid.addWidget(view, *places[name])
            view.setVisible(name in places)
            view.view.get_view_node().SetMappedInLayout(name in places)

    def setRenderPaused(self, paused):
        for view in self._views.values():
            view.setRenderPaused(paused)

    def finalize(self):
        for view in self._views.values():
            view.finalize()


class IOManager:
    """Reads and writes scenes, and models."""

    def __init__(self, application):
        self._application = application

    def fileType(self, path):
        return "SceneFile" if str(path).lower().endswith((".mrb", ".mrml")) else "ModelFile"

    def fileWriterFileType(self, node):
        return node.GetClassName()

    def loadNodes(self, fileType, properties, loadedNodes=None, messages=None):
        """Load a scene (``properties["clear"]`` empties this one before) or a model."""
        path, scene = str(properties["fileName"]), self._application.scene
        if fileType == "ModelFile":
            node = self._application.core.io_manager.load_model(path)
            if node and loadedNodes is not None:
                loadedNodes.AddItem(node)
            return node is not None
        if fileType != "SceneFile":
            raise NotImplementedError(f"The host has no reader for {fileType}")
        clear = bool(properties.get("clear", False))
        if path.lower().endswith(".mrb"):
            return scene.ReadFromMRB(path, clear, messages)
        scene.SetURL(path)
        return bool(scene.Connect(messages) if clear else scene.Import(messages))

    def saveNodes(self, fileType, properties, messages=None):
        """Save the scene (.mrb with its data, .mrml without), or a node's data."""
        path, scene = str(properties["fileName"]), self._application.scene
        if fileType != "SceneFile":
            node = scene.GetNodeByID(properties["nodeID"])
            node.GetStorageNode() or node.AddDefaultStorageNode()
            node.GetStorageNode().SetFileName(path)
            return bool(node.GetStorageNode().WriteData(node))
        scene.SetRootDirectory(str(Path(path).parent))
        if path.lower().endswith(".mrb"):
            return scene.WriteToMRB(path, None, messages)
        scene.SetURL(path)
        return bool(scene.Commit(path, messages))
