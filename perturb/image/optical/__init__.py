"""Perturbations of endoscopy, dermoscopy, fundus, OCT and microscopy images."""
