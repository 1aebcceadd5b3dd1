"""The sample clip, offered among Slicer's sample data. Knows Slicer's modules, nothing of the library's layers."""

import slicer

from .resources import resourcePath

SAMPLE_CLIP = "SampleHand.mp4"
SAMPLE_CLIP_SHA256 = "e1ba83f50c2c16e69891e7128b824d1d6e9b2e22c76ee4a5e026fd81d8726873"


def registerSampleData() -> None:
    """Offer the sample clip among Slicer's sample data; nothing is downloaded, for it comes with LiveHand."""
    try:
        import SampleData
    except ImportError:
        return  # an application without it
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="LiveHand",
        sampleName="LiveHandSampleClip",
        uris=resourcePath(SAMPLE_CLIP).as_uri(),
        fileNames="LiveHandSampleClip.mp4",
        checksums=f"SHA256:{SAMPLE_CLIP_SHA256}",
        loadFiles=False,
        thumbnailFileName=str(resourcePath("Icons/LiveHand.png")),
        customDownloader=playSampleClip,
    )


def playSampleClip(_source: object = None) -> None:
    """Open the module with the sample clip as its source, live."""
    slicer.util.selectModule("LiveHand")
    widget = slicer.util.getModuleWidget("LiveHand")
    widget.logic.setSource(resourcePath(SAMPLE_CLIP))
    if widget.ui.liveCheckBox.enabled:
        widget.ui.liveCheckBox.checked = True
