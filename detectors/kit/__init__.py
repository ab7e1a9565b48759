"""What rules and facts tables share: contract, span columns, shapes, structure, merging."""
