"""Pure part of the search: predictors, operators, the NAT loop and the decision. numpy, pymoo and scikit-learn only."""
