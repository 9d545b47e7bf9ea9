"""Problems, training and evaluation."""
