"""The few widgets of CTK (the Common Toolkit) that scripted modules and slicer.util need, with CTK's properties."""

import qt


def _forwarded(kind, child, name):
    """A Qt property, and its setter, that is the one of the same name of a child widget."""

    def get(self):
        return getattr(getattr(self, child), name)

    def put(self, value):
        setattr(getattr(self, child), name, value)

    return qt.Property(kind, get, put), put


class ctkCollapsibleButton(qt.QAbstractButton):
    """A button that has a layout below it and shows or hides it."""

    contentsCollapsed = qt.Signal(bool)

    def __init__(self, *args):
        super().__init__(*args)
        self._collapsed = False
        self._hidden = ()
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Preferred)
        self._headerHeight = self.fontMetrics().height() + 10
        self.setContentsMargins(0, self._headerHeight, 0, 0)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._onToggled)

    def _isCollapsed(self):
        return self._collapsed

    def setCollapsed(self, collapsed):
        """Hide the contents, or show those of them that were visible."""
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setMaximumHeight(self._headerHeight if collapsed else 16777215)  # Qt's QWIDGETSIZE_MAX
        if collapsed:
            self._hideContents()
        else:
            for child in self._hidden:
                child.setVisible(True)
        self.setChecked(not collapsed)
        self.contentsCollapsed.emit(collapsed)

    collapsed = qt.Property(bool, _isCollapsed, setCollapsed)

    def _hideContents(self):
        self._hidden = [c for c in self.children() if c.isWidgetType() and not c.isHidden()]
        for child in self._hidden:
            child.setVisible(False)

    def _onToggled(self, checked):
        self.setCollapsed(not checked)

    def showEvent(self, event):
        if self._collapsed and not self._hidden:  # collapsed in the .ui file, before it had contents
            self._hideContents()

    def hitButton(self, position):
        return position.y() < self._headerHeight

    def minimumSizeHint(self):
        hint = qt.QWidget.minimumSizeHint.__get__(self) if self.layout() is None else self.layout().minimumSize()
        return qt.QSize(hint.width(), self._headerHeight if self._collapsed else hint.height())

    def paintEvent(self, event):
        option = qt.QStyleOptionButton()
        option.initFrom(self)
        option.rect = qt.QRect(0, 0, self.width, self._headerHeight)
        painter = qt.QPainter(self)
        self.style().drawPrimitive(qt.QStyle.PE_PanelButtonCommand, option, painter, self)
        arrow = "\u25b8 " if self._collapsed else "\u25be "
        painter.drawText(option.rect.adjusted(8, 0, 0, 0), int(qt.Qt.AlignVCenter), arrow + self.text)
        painter.end()


class ctkPathLineEdit(qt.QWidget):
    """A path, typed or picked with a file dialog. ``filters`` is a number here, which a .ui file can't set."""

    Dirs, Files, Drives, NoSymLinks, Readable, Writable, Executable = (1 << bit for bit in range(7))

    currentPathChanged = qt.Signal(str)
    validInputChanged = qt.Signal(bool)

    def __init__(self, *args):
        super().__init__(*args)
        self._filters, self._nameFilters, self._settingKey = self.Files | self.Readable, [], ""
        self._edit = qt.QLineEdit()
        self._button = qt.QToolButton()
        self._button.setText("...")
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._edit)
        layout.addWidget(self._button)
        self._edit.textChanged.connect(self.currentPathChanged)
        self._button.clicked.connect(self.browse)

    def _getFilters(self):
        return self._filters

    def setFilters(self, filters):
        self._filters = int(filters)

    def _getNameFilters(self):
        return self._nameFilters

    def setNameFilters(self, nameFilters):
        self._nameFilters = list(nameFilters)

    def _getSettingKey(self):
        return self._settingKey

    def setSettingKey(self, key):
        self._settingKey = key

    def _currentPath(self):
        return self._edit.text

    def setCurrentPath(self, path):
        self._edit.setText(path)

    def _isBrowsable(self):
        return not self._button.isHidden()

    def setShowBrowseButton(self, show):
        self._button.setVisible(show)

    currentPath = qt.Property(str, _currentPath, setCurrentPath)
    filters = qt.Property(int, _getFilters, setFilters)
    nameFilters = qt.Property("QStringList", _getNameFilters, setNameFilters)
    settingKey = qt.Property(str, _getSettingKey, setSettingKey)
    showBrowseButton = qt.Property(bool, _isBrowsable, setShowBrowseButton)

    def addCurrentPathToHistory(self):
        """There is no history here."""

    def browse(self):
        """Let the person pick a file, or a folder if the filters don't ask for files."""
        if self._filters & self.Files:
            path = qt.QFileDialog.getOpenFileName(self, "Select a file", self.currentPath, ";;".join(self._nameFilters))
        else:
            path = qt.QFileDialog.getExistingDirectory(self, "Select a directory", self.currentPath)
        if path:
            self.setCurrentPath(path)


class ctkSliderWidget(qt.QWidget):
    """A slider and a spin box that show the same number."""

    valueChanged = qt.Signal(float)

    def __init__(self, *args):
        super().__init__(*args)
        self._slider = qt.QSlider(qt.Qt.Horizontal)
        self._box = qt.QDoubleSpinBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self._onBox)
        self._slider.valueChanged.connect(self._onSlider)

    def _onBox(self, value):
        # The slider only follows: its steps are coarser than the value may be.
        step = self._box.singleStep
        self._slider.blockSignals(True)
        self._slider.setRange(0, max(1, round((self._box.maximum - self._box.minimum) / step)))
        self._slider.setValue(round((value - self._box.minimum) / step))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _onSlider(self, position):
        self._box.setValue(self._box.minimum + position * self._box.singleStep)

    value, setValue = _forwarded(float, "_box", "value")
    minimum, setMinimum = _forwarded(float, "_box", "minimum")
    maximum, setMaximum = _forwarded(float, "_box", "maximum")
    singleStep, setSingleStep = _forwarded(float, "_box", "singleStep")
    decimals, setDecimals = _forwarded(int, "_box", "decimals")
    prefix, setPrefix = _forwarded(str, "_box", "prefix")
    suffix, setSuffix = _forwarded(str, "_box", "suffix")


class ctkMessageBox(qt.QMessageBox):
    """A message box with "Don't show again": once ticked, the answer then given is given again without asking."""

    def __init__(self, *args):
        super().__init__(*args)
        self.dontShowAgainSettingsKey = ""

    def exec_(self):
        """Ask, and return the button's number."""
        key = self.dontShowAgainSettingsKey
        if not key:
            return int(super().exec_())
        if int(qt.QSettings().value(key, qt.QMessageBox.InvalidRole)) != qt.QMessageBox.InvalidRole:
            return int(qt.QSettings().value(key))
        box = qt.QCheckBox("Don't show this message again")
        self.setCheckBox(box)
        answer = int(super().exec_())
        if box.checked:
            qt.QSettings().setValue(key, answer)
        return answer
