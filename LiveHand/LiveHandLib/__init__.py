"""What the LiveHand module is made of. Imports point one way; test_extension.py has the layers."""
