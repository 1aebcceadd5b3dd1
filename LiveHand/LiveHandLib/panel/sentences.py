"""The sentences that the panel shows: one for each failure, saying what happened and what to do."""

from slicer.i18n import tr as _

from ..errors import LiveHandError


def sentence(error: LiveHandError) -> str:
    """The sentence for a failure, in the user's language."""
    sentences = {
        "packageMissing": _("The Python package {package} is missing: click Install packages."),
        "packageBroken": _(
            "The Python package {package} cannot be loaded ({detail}): enter "
            "slicer.util.pip_install('--force-reinstall --no-deps {requirement}') in the Python console, and restart "
            "Slicer."
        ),
        "libraryMissing": _(
            "The Python package {package} cannot be loaded, for this computer lacks the library {library}: install it "
            "with the system's package manager, and restart Slicer."
        ),
        "packageHidden": _(
            "Python finds {folder} in place of the installed package {package}: move that away, or take its folder "
            "from PYTHONPATH, and restart Slicer."
        ),
        "restartNeeded": _("The Python package {package} is in use in its version {version}: restart Slicer."),
        "installDeclined": _("The packages were not installed, as you chose: Live needs them."),
        "installPlatform": _(
            "There is no MediaPipe for this computer ({platform}): use Slicer for Windows, for Linux on x86-64, or for "
            "Macs with Apple silicon."
        ),
        "pipMissing": _(
            "Slicer's Python has lost pip: enter import ensurepip; ensurepip.bootstrap() in the Python console, and "
            "click Install packages."
        ),
        "installNotWritable": _(
            "Slicer's folder {folder} cannot be written: get the right to write there, or install Slicer into a folder "
            "of your own, and click Install packages."
        ),
        "installDiskFull": _(
            "Installing {packages} failed, for the disk is full: free 500 MB, and click Install packages."
        ),
        "installInUse": _(
            "Installing {packages} failed, for files cannot be replaced: restart Slicer, and click Install packages "
            "before anything else."
        ),
        "installConflict": _(
            "Installing {packages} failed, for they do not go with numpy {version}, which Slicer or another extension "
            "needs: install LiveHand in another Slicer, without that extension."
        ),
        "installOffline": _(
            "Installing {packages} failed, for pip cannot reach the package index: check the network connection and "
            "the proxy, and click Install packages."
        ),
        "installLeftOver": _(
            "pip stops at what earlier installations left over: delete {folders}, and click Install packages."
        ),
        "installUnavailable": _(
            "pip's package index has no {package} for this Python: have pip use pypi.org (index-url in pip's "
            "settings), and click Install packages."
        ),
        "installElsewhere": _(
            "pip has put {packages} where Slicer's Python does not find them: take PIP_TARGET, PIP_PREFIX or PIP_USER "
            "out of the environment and of pip's settings, restart Slicer, and click Install packages."
        ),
        "installFailed": _(
            "Installing {packages} failed ({detail}): read what pip says in the Python console, and click Install "
            "packages."
        ),
        "consentNeeded": _(
            "MediaPipe {version}, which another extension installed, reports on its use to Google: "
            "tick Live to be asked whether to use it."
        ),
        "networkMissing": _("The file {path}, by which pinches are recognized, cannot be read: reinstall LiveHand."),
        "meshMissing": _("The mesh of the hand {path} cannot be read: reinstall LiveHand."),
        "modelMissing": _("The hand model {path} cannot be read: choose another one, or reinstall LiveHand."),
        "modelChanged": _(
            "The hand model {path} is not the file it should be (its SHA-256 differs): "
            "choose it again if you changed it on purpose, or reinstall LiveHand."
        ),
        "modelUnusable": _("MediaPipe cannot use the hand model ({detail}): choose a hand landmarker bundle (.task)."),
        "palmWidth": _(
            "No palm is {palmWidth} mm wide: measure from the knuckle of the index finger to that of the little "
            "finger, and enter 30 to 110 mm."
        ),
        "noSource": _("No camera is chosen: choose one, or a video file, and tick Live again."),
        "cameraNotFound": _(
            "The camera cannot be opened: check that it is plugged in, that no other program uses it and that "
            "Slicer may use the camera, then tick Live again."
        ),
        "cameraAbsent": _(
            "The camera {name} is not connected: plug it in, or choose another one, then tick Live again."
        ),
        "cameraAmbiguous": _(
            "Several cameras of the name {name} are connected, and it is not known which of them was meant: "
            "choose one, then tick Live again."
        ),
        "cameraBusy": _("The camera is used by another program: close that program, then tick Live again."),
        "cameraBusyWith": _("The camera is used by {program}: close that program, then tick Live again."),
        "cameraNotPermitted": _(
            "The user {user} may not open the camera {device}: run 'sudo usermod -aG video {user}' in a terminal, "
            "log out and in again, then tick Live."
        ),
        "cameraDeniedByWindows": _(
            "Windows does not let desktop apps use the camera: allow it in Settings > Privacy & security > Camera, "
            "then tick Live again."
        ),
        "cameraDenied": _(
            "macOS does not let Slicer use the camera: allow it in System Settings > Privacy & Security > Camera "
            "for Slicer, or for the terminal that Slicer was started from, then restart Slicer."
        ),
        "cameraRestricted": _(
            "The camera is turned off for this user of the Mac, by its administrator or by Screen Time: "
            "have it turned on, then tick Live again."
        ),
        "cameraNotDescribed": _(
            "This Slicer cannot ask macOS for the camera, and macOS would end it if it did: save your work, "
            "quit Slicer, start it from the program Terminal by typing /Applications/Slicer.app/Contents/MacOS/Slicer "
            "and tick Live there."
        ),
        "cameraSilent": _(
            "The camera has sent no frame for {seconds} seconds: "
            "unplug it and plug it in again, or choose another one, then tick Live again."
        ),
        "cameraLost": _("The camera stopped sending frames: check its cable, then tick Live again."),
        "fileMissing": _("There is no file {path}: choose another one."),
        "notAVideo": _("{path} cannot be read as a video or image: choose another file."),
        "codecMissing": _(
            "This OpenCV cannot decode {codec} video: convert the file to H.264, for example with HandBrake or "
            "ffmpeg -i FILE -c:v libx264 FILE.mp4."
        ),
        "imageKindUnreadable": _(
            "{path} is an image of the kind {kind}, which this OpenCV cannot read as a whole: convert it to JPEG, PNG "
            "or a video."
        ),
        "imageUnusable": _(
            "These are images of an unknown kind or size ({shape}, {dtype}): choose another camera or file."
        ),
        "calibrationMissing": _("The calibration file {path} cannot be read: choose another one."),
        "notACalibration": _(
            "{path} is not a camera calibration in OpenCV's format, or it is damaged ({detail}): choose another file."
        ),
        "calibrationNotSaved": _("The calibration cannot be saved as {path} ({detail}): choose another folder."),
        "calibrationMatrix": _(
            "The calibration does not have the camera matrix and the distortion of OpenCV's pinhole model: "
            "calibrate the camera, or import another file."
        ),
        "calibrationNotFinite": _(
            "The calibration has figures that are infinite or no numbers: calibrate the camera, or import another file."
        ),
        "calibrationImageSize": _(
            "The calibration is for images of {width} × {height} pixels, which no camera takes: "
            "calibrate the camera, or import another file."
        ),
        "calibrationFocalLength": _(
            "The calibration has a focal length of {fx} and {fy} px, which no webcam has: "
            "calibrate the camera, or import another file."
        ),
        "calibrationPrincipalPoint": _(
            "The calibration has its principal point at {x}, {y} px, outside the image: "
            "calibrate the camera, or import another file."
        ),
        "calibrationDistortion": _(
            "The calibration's distortion folds the image over itself: calibrate the camera, or import another file."
        ),
        "calibrationResolution": _(
            "The calibration is for {width} × {height} pixels and says nothing about {newWidth} × {newHeight}: "
            "calibrate the camera at this resolution."
        ),
        "calibrationTooFewViews": _(
            "The camera could not be calibrated, for only {views} views of the board were good and {needed} are "
            "needed: hold the board still in many places, check that its kind and its squares are the ones chosen, and "
            "calibrate again."
        ),
        "calibrationUncertain": _(
            "The camera could not be calibrated, for these views do not tell its focal length from the distance: "
            "calibrate again, with the board tilted more and closer to the camera."
        ),
        "boardImpossible": _(
            "There is no such board: choose a ChArUco board or a chessboard of 4 to 20 squares each way, 1 to 1000 mm."
        ),
        "boardTooLarge": _(
            "The board of {width} × {height} mm does not fit on {paper} paper: choose fewer or smaller squares."
        ),
        "boardNotSaved": _("The board cannot be saved as {path} ({detail}): choose another folder."),
        "referenceImpossible": _(
            "This cannot be a reference: choose a ChArUco board, or an ArUco marker with a number from 0 to 249 and a "
            "side of 10 to 500 mm."
        ),
        "referenceOther": _(
            "The board in view has other squares than {columns} × {rows}: count those from left to right and from top "
            "to bottom, and set them under Navigation."
        ),
        "transformNotLinear": _(
            "This needs linear transforms, and one of those that {name} is under is not: take {name} out from under it."
        ),
        "printedLine": _(
            "The printed line of 100 mm cannot have become {length} mm long: measure it again, or print again at 100 %."
        ),
        "pointReferenceLost": _(
            "The point was not recorded, for the reference was out of sight: keep the board in view, and record it "
            "again."
        ),
        "pointHandLost": _(
            "The point was not recorded, for the hand was out of sight: keep it in view, and record it again."
        ),
        "pointListGone": _(
            "The point was not recorded, for its list was deleted meanwhile: choose another list, and record it again."
        ),
        "pointSceneClosed": _(
            "The point was not recorded, for the scene was closed meanwhile: record it again in the new one."
        ),
        "pointNotLive": _("No point was recorded, for Live is off: tick Live, and record it again."),
        "traceNotLive": _("Nothing can be traced, for Live is off: tick Live, and start the trace again."),
        "traceReferenceLost": _(
            "The trace has ended, for the reference is out of sight: what was traced is kept; start it again to go on."
        ),
        "traceHandLost": _(
            "The trace has ended, for the hand is out of sight: what was traced is kept; start it again to go on."
        ),
        "traceGone": _("The trace has ended, for it was deleted: start another one."),
        "pointTooFew": _(
            "The point was not recorded, for the fingertip was seen in {count} frames only and {needed} are needed: "
            "keep the hand in view, and record it again."
        ),
        "registrationNoLists": _(
            "There are not two lists of points to compare: choose the recorded one and the other."
        ),
        "registrationNotTouched": _(
            "What was touched has to be under the transform {transform}, and the image must not be: choose a list or "
            "trace that was recorded with this reference."
        ),
        "surfaceMissing": _("There is no trace and model to fit: trace over the skin, and choose its model."),
        "noComparison": _("There is nothing to export: compare the recorded points first."),
        "registrationTooFew": _("{count} points are too few to register by: record at least {needed}."),
        "registrationCollinear": _(
            "The points lie on a line, so the rotation about it is not known: record one that is away from it."
        ),
        "registrationMirrored": _(
            "The points fit as a mirror image only: check whether left and right were interchanged, and record them in "
            "the order of the list."
        ),
        "registrationNotFinite": _("A point has no place: record it again, or delete it from the list."),
        "registrationPairs": _(
            "{recorded} recorded points do not go with the {planned} of the list: delete those that are too many, or "
            "match them by their names."
        ),
        "registrationNames": _(
            "The two lists do not have the same names, or a name twice: rename the points, or match them in order."
        ),
        "surfaceTooFew": _(
            "A trace of {count} points is too short to fit it to a surface: trace at least {needed} points over it."
        ),
        "surfaceEmpty": _("The model has no surface: choose another model."),
        "surfaceNoFit": _(
            "The trace could not be fitted to the surface: check that it is the traced one, and register by points "
            "first."
        ),
        "pairMissing": _("The pair file {path} cannot be read: choose another file."),
        "notAPair": _(
            "{path} is no pair file, for it has no rotation of 9 and translation of 3 figures: choose another file, or "
            "hold a board before both cameras."
        ),
        "pairImpossible": _(
            "Two cameras cannot stand to each other as the pair says: its rotation has to be one, and its translation "
            "20 mm to 5 m long; measure it again."
        ),
        "pairUnknown": _(
            "Where the two cameras are is not known, so the hand comes from the first one: click Find cameras, and "
            "lay a board where both see it."
        ),
        "pairMoved": _(
            "What the two cameras see does not fit together, so the hand comes from the first one: a camera was moved "
            "or mirrors its image; click Find cameras, and lay a board where both see it."
        ),
        "secondCameraSame": _(
            "The second camera is the first one, so the hand comes from that alone: choose another second camera."
        ),
        "secondCameraFailed": _("The second camera gives no images, so the hand comes from the first one: {cause}"),
        "recordingEmpty": _("Nothing was recorded: no hand was seen. Record again with a hand in view."),
        "recordingFull": _(
            "The recording has come to its end of {minutes} minutes and is kept: click Record to start another one."
        ),
        "noRecording": _("There is no recording to export: click Record while Live is on."),
        "exportFailed": _(
            "The file {path} cannot be written ({detail}): choose another folder or free some space, then export again."
        ),
        "gestureNoView": _(
            "There is no 3D view for the hands to act on: choose a layout that has it, or another view under Gestures."
        ),
        "gestureNoSlice": _(
            "There is no slice view where the hand pinches: pinch in front of one, or choose one under Gestures that "
            "is shown."
        ),
        "gestureNoTransform": _(
            "Nothing is chosen that hands can carry: choose a transform, a model or a volume under Gestures."
        ),
        "gestureNotHoldable": _(
            "{name} cannot be carried, for its transform is not linear or the hands themselves are under it: choose "
            "something else under Gestures."
        ),
        "gestureNoPointList": _(
            "The hands have given no place, for Slicer waits for something else than a point of a list that is open: "
            "use the mouse, or end place mode."
        ),
        "gestureElsewhere": _(
            "The hands hold something elsewhere already, for LiveHand is live twice: let go there, or stop it."
        ),
        "cameraViewMissing": _(
            "The layout shows no such 3D view: choose another one for the view from the camera, or another layout."
        ),
        "cameraViewReference": _(
            "The reference is not in view, so the view from the camera is off: show the board or marker to the camera."
        ),
        "cameraViewTransform": _(
            "The transforms from the camera to RAS do more than rotate, move and scale evenly, so no camera sees like "
            "that: move LiveHand's transforms out from under those that do."
        ),
        "settingsUnreadable": _(
            "The scene's settings of LiveHand come from a newer version or are damaged, and have been set back: "
            "choose the camera again."
        ),
        "internal": _("Something unexpected happened ({detail}): tick Live again, and report it if it comes back."),
    }
    try:
        details = {k: sentence(v) if isinstance(v, LiveHandError) else v for k, v in error.details.items()}
        text = sentences[error.reason].format(**details)
    except KeyError:
        text = sentences["internal"].format(detail=str(error))
    return " ".join(text.split())  # a library's message may have lines


def endSentence(framesUnreadable: int) -> str:
    """The sentence for the end of a file, in the user's language.

    :param framesUnreadable: how many of its frames could not be decoded.
    """
    if framesUnreadable == 0:
        return _("The file has been played to its end.")
    if framesUnreadable == 1:
        return _("The file has been played to its end; 1 frame could not be decoded.")
    return _("The file has been played to its end; {count} frames could not be decoded.").format(count=framesUnreadable)


def hintSentence(hint: str) -> str:
    """The sentence for a hint of :func:`hints.hint`, in the user's language; empty if there is none."""
    sentences = {
        "": "",
        "dark": _("The image is dark: turn on a light, best from the front."),
        "outside": _("The hand is partly out of view: move it to the middle."),
        "small": _("The hand is small in the image: come closer."),
    }
    return sentences[hint]
