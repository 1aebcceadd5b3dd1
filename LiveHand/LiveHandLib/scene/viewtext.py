"""A line of text in the corner of a view. Knows VTK and Slicer's layout, nothing of Qt, cameras or threads."""

from typing import Any

import slicer
import vtk


class ViewText:
    """Shows a line of text in a corner of one view at a time.

    It has an annotation of its own: the view's belongs to Slicer, which writes data's names and units into it.

    :param corner: which one, of ``vtkCornerAnnotation``; the upper right one if it is not given.
    """

    def __init__(self, corner: int = vtk.vtkCornerAnnotation.UpperRight) -> None:
        self._corner = corner
        self._annotation = vtk.vtkCornerAnnotation()
        self._annotation.SetMaximumFontSize(18)
        self._annotation.GetTextProperty().SetBold(True)
        self._annotation.GetTextProperty().SetShadow(True)
        self._text = ""
        self._view: Any = None
        self._renderer: vtk.vtkRenderer | None = None

    def show(self, text: str, viewNode: Any = None) -> None:
        """Show a text, or none.

        :param text: one line; empty for none.
        :param viewNode: where; None for the first 3D view.
        """
        if text == self._text:
            return
        self._text = text
        if text:
            self._putInto(_viewOf(viewNode))
            self._annotation.SetText(self._corner, text)
            if self._view:
                self._view.scheduleRender()
        else:
            self._putInto(None)

    def _putInto(self, view: Any) -> None:
        if view is self._view:
            return
        before, self._view = self._view, view
        if self._renderer:
            self._renderer.RemoveViewProp(self._annotation)
        self._renderer = view.renderWindow().GetRenderers().GetFirstRenderer() if view else None
        if self._renderer:
            self._renderer.AddViewProp(self._annotation)
        if before:
            before.scheduleRender()


def _viewOf(viewNode: Any) -> Any:
    """The widget of a view that the layout has; None if there is none."""
    layoutManager = slicer.app.layoutManager()
    if not layoutManager:
        return None
    if viewNode and viewNode.IsA("vtkMRMLSliceNode"):
        widget = layoutManager.sliceWidget(viewNode.GetLayoutName())
        return widget.sliceView() if widget else None
    views = [layoutManager.threeDWidget(index).threeDView() for index in range(layoutManager.threeDViewCount)]
    if viewNode:
        views = [view for view in views if view.mrmlViewNode().GetID() == viewNode.GetID()]
    return views[0] if views else None
