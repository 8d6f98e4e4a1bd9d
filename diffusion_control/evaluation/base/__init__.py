# SPDX-License-Identifier: Apache-2.0
"""What the evaluation of a base does in another way than that of an arm, one file a concept."""
