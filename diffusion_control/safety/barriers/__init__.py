# SPDX-License-Identifier: Apache-2.0
"""Control barrier functions, one a file: what h is, and the inequality that keeps it from falling.

Each barrier turns the state at the tick into bounds of the joint velocity v that is reached one
*step* later, after which the robot must still be able to stop. Bounds of single joints are
`Bounds`, everything else is `Rows` of a linear inequality g' v >= b.
"""
