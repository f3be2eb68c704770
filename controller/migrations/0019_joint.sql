-- Notices that are about several tenants: which. And which correction follows a notice.
CREATE TABLE joint_parts (
  tenant TEXT NOT NULL REFERENCES tenants (id),
  notice TEXT NOT NULL REFERENCES notices (id),
  PRIMARY KEY (tenant, notice)
);
CREATE TABLE corrections (
  notice TEXT PRIMARY KEY REFERENCES notices (id),
  correction TEXT NOT NULL REFERENCES notices (id)
);
-- What refers to a notice is found without going through all.
CREATE INDEX joint_parts_notice ON joint_parts (notice);
CREATE INDEX corrections_correction ON corrections (correction);
