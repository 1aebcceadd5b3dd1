"""What the LiveHand module is made of. Imports point one way:

errors, turns <- tracking, geometry, pose, smoothing, camera, intrinsics <- board <- calibration <- gil, worker (Qt)
tracking <- identity, hints, preview <- worker (Qt)
errors <- scene, cameraslice (MRML), packages, messages (Slicer) <- calibrationpanel (Qt)
all of them <- LiveHand.py, the module, which joins them
"""
