"""Installing Python packages with pip, from within the application."""

import importlib
import importlib.metadata
import logging
import shlex
import subprocess
import sys
import threading

import slicer
from packaging.requirements import InvalidRequirement, Requirement

__all__ = ["load_requirements", "pip_check", "pip_ensure", "pip_install", "pip_uninstall"]


def load_requirements(path):
    """The Requirement objects of a requirements file; comments and options in it are skipped."""
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def _asRequirements(requirements):
    if isinstance(requirements, str):
        try:
            return [Requirement(requirements)]
        except InvalidRequirement:
            return [Requirement(text) for text in requirements.split()]
    if isinstance(requirements, Requirement):
        return [requirements]
    if isinstance(requirements, list):
        return [Requirement(r) if isinstance(r, str) else r for r in requirements]
    raise TypeError(f"Expected str, Requirement, or list, got {type(requirements).__name__}")


def pip_check(req):
    """True if the requirements are installed in the versions they ask for."""
    seen = set()
    return all(_isInstalled(requirement, seen) for requirement in _asRequirements(req))


def _isInstalled(requirement, seen):
    if requirement.marker and not requirement.marker.evaluate():
        return True
    key = requirement.name.lower(), frozenset(requirement.extras)
    if key in seen:  # extras may refer to each other
        return True
    seen.add(key)
    try:
        installed = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if installed not in requirement.specifier:
        return False
    dependencies = map(Requirement, importlib.metadata.requires(requirement.name) or [])
    for dependency in dependencies:
        if dependency.marker and any(dependency.marker.evaluate({"extra": extra}) for extra in requirement.extras):
            dependency.marker = None
            if not _isInstalled(dependency, seen):
                return False
    return True


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Install what is missing of the requirements, after asking.

    :raises RuntimeError: if the person declines.
    :raises subprocess.CalledProcessError: if pip fails.
    """
    missing = [str(r) for r in _asRequirements(requirements) if not pip_check(r)]
    if not missing:
        return None
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info(f"Testing mode is enabled: skipping pip_ensure for {missing}")
        return None
    if prompt_install:
        title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
        text = f"Python packages need to be installed: {len(missing)}.\n\nContinue?"
        if not slicer.util.confirmOkCancelDisplay(text, title, detailedText="\n".join(f"- {r}" for r in missing)):
            raise RuntimeError("User declined package installation")
    return pip_install(
        missing, constraints, skip_packages=skip_packages, show_progress=show_progress, requester=requester
    )


def pip_install(
    requirements,
    constraints=None,
    no_deps_requirements=None,
    skip_packages=None,
    blocking=True,
    show_progress=True,
    requester=None,
    logCallback=None,
    completedCallback=None,
):
    """Run ``pip install``, with Slicer's arguments. The host always blocks, and neither shows progress nor skips.

    :param requirements: a string as on the command line, or a list of arguments.
    :raises subprocess.CalledProcessError: if pip fails, when blocking. It has no output; as in Slicer, an error dialog
        shows that before if ``show_progress`` is true and the application is not being tested.
    """
    if skip_packages is not None:
        raise NotImplementedError("The host's pip_install has no skip_packages")
    if not blocking and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("pip_install(blocking=False) is only supported on the main thread")
    constraint = ["-c", str(constraints)] if constraints else []
    output = []

    def log(line):
        output.append(line)
        (print if blocking or not logCallback else logCallback)(line)

    try:
        if no_deps_requirements:
            _pip(["install", "--no-deps", *_asArguments(no_deps_requirements), *constraint], log)
        _pip(["install", *_asArguments(requirements), *constraint], log)
    except subprocess.CalledProcessError as error:
        if blocking:
            isShown = show_progress and threading.current_thread() is threading.main_thread()
            if isShown and not slicer.app.testingEnabled():
                title = f"{requester} - Installation Failed" if requester else "Installation Failed"
                slicer.util.errorDisplay("Package installation failed.", title, detailedText="\n".join(output))
            raise
        _call(completedCallback, error.returncode)
    else:
        _call(None if blocking else completedCallback, 0)


def pip_uninstall(
    requirements, blocking=True, show_progress=True, requester=None, logCallback=None, completedCallback=None
):
    """Run ``pip uninstall``."""
    _pip(["uninstall", "--yes", *_asArguments(requirements)], logCallback)


def _asArguments(requirements):
    if isinstance(requirements, str):
        return shlex.split(requirements)
    if isinstance(requirements, list):
        return [str(r) for r in requirements]
    raise ValueError("pip_install requirement input must be string or list")


def _call(callback, *args):
    if callback:
        callback(*args)


def _pip(arguments, logCallback):
    command = [sys.executable, "-m", "pip", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        (logCallback or print)(line.rstrip())
        if threading.current_thread() is threading.main_thread():
            slicer.app.processEvents()  # keeps the windows alive, as Slicer's progress dialog does
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    importlib.invalidate_caches()
