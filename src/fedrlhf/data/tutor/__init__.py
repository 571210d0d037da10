"""The embedded scenario: a data-science tutor whose students' tastes are known exactly."""
