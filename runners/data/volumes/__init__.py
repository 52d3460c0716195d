"""Volumes and single images of medical formats behind one interface, read lazily."""
