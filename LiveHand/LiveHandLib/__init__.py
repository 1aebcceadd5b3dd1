"""What the LiveHand module is made of. Imports point one way:

errors, turns <- tracking, intrinsics, geometry, pose, smoothing, joints, surface
intrinsics <- devices <- devicequery <- camera
tracking <- identity, hints, preview; intrinsics <- board <- calibration
identity, intrinsics, pose, smoothing <- placing
all these <- gil, worker (Qt)
errors, surface, joints <- scene, cameraslice, angles, recording (MRML), packages, messages (Slicer)
these <- motion <- motionpanel, calibrationpanel (Qt)
all of them <- LiveHand.py, the module, which joins them
"""
