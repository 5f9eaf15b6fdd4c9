"""The pure part of the search: problem, predictors, evolution, local search, NAT and ranking."""
