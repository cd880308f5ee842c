"""What live features are, in integers: pure functions of numpy and Arrow values, with no clock, no I/O and no engine.

From an event to an answer: `take` (which events count, and what is taken in of them), `window` (which slots a request
sees), `cells` and `registers` (what slots add up to), `row` (the online row and its one operation, merge), `answer`
(features as of a time), `rounding` (the one step from full width to what a `tf.Example` holds). `explain` says of one
answer what it was made from.
"""
