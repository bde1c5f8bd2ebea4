class Identity:
    def __init__(self, simulator):
        pass

    def principal_of(self, token):
        return None, "not a token of this simulator"

    def handles(self, path):
        return False
