"""Models: the fit side (`gbdt`) and the predict side (`trees`, `effects`) are different files."""
