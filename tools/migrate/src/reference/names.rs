//! Names of graphs and search indexes of the reference: which there are, and which of them collide.
//!
//! The one idea: there graphs and indexes have name spaces of their own, over all databases; here a graph is a key, and an index belongs to
//! a database. So a name that stands for one thing there may stand for two here, and whoever plans has to know that before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use moon_engine::exec::Shard;
use moon_formats::DecodeError;
use moon_formats::planes_reference::{BYTES_MAX, graphs, text_indexes, vector_indexes};

use crate::facts::{Collision, Losses, lose};
use crate::fail::Failure;

/// Files in which the definitions of a plane stand: name of the file, plane, what is in it.
const FILES: [(&str, &str, &str); 3] = [
    ("graph_metadata.json", "graph", "graphs"),
    ("vector-indexes.meta", "vector", "indexes of vectors"),
    ("text-indexes.meta", "search", "indexes of text"),
];

/// See the module page.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Graphs, and the files that define them.
    graphs: BTreeMap<Vec<u8>, BTreeSet<PathBuf>>,
    /// Indexes by plane and name.
    indexes: BTreeMap<(&'static str, Vec<u8>), Vec<Defined>>,
}

/// Where an index is defined: the file, and the database that it names.
type Defined = (PathBuf, Option<u8>);

impl Names {
    /// Takes a file in, if it is one with definitions: each is a loss with its name. `false` if it is another file.
    pub(super) fn file(
        &mut self,
        path: &Path,
        name: &str,
        losses: &mut Losses,
    ) -> Result<bool, Failure> {
        let Some((_, plane, what)) = FILES.iter().find(|(file, ..)| *file == name) else {
            return Ok(false);
        };
        let io = |e| Failure::io("read", path, e);
        if fs::metadata(path).map_err(io)?.len() > BYTES_MAX {
            lose(losses, plane, "a file of definitions that is too long", path_bytes(path));
            return Ok(true);
        }
        let bytes = fs::read(path).map_err(io)?;
        let found = match *plane {
            "graph" => self.graphs(path, &bytes),
            plane => self.indexes(plane, path, &bytes),
        };
        match found {
            Ok(names) => {
                for name in &names {
                    lose(losses, plane, what, name);
                }
            }
            Err(e) => {
                let text = format!("a file of {what} whose names cannot be read ({e})");
                lose(losses, plane, &text, path_bytes(path));
            }
        }
        Ok(true)
    }

    /// A graph that a command in the log makes.
    pub(super) fn graph(&mut self, name: &[u8]) {
        self.graphs.entry(name.to_vec()).or_default();
    }

    fn graphs(&mut self, path: &Path, bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
        let names: Vec<Vec<u8>> = graphs(bytes)?.into_iter().map(String::into_bytes).collect();
        for name in &names {
            self.graphs.entry(name.clone()).or_default().insert(path.into());
        }
        Ok(names)
    }

    fn indexes(
        &mut self,
        plane: &'static str,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Vec<Vec<u8>>, DecodeError> {
        let found = match plane {
            "vector" => vector_indexes(bytes)?,
            _ => text_indexes(bytes)?,
        };
        for index in &found {
            let places = self.indexes.entry((plane, index.name.to_vec())).or_default();
            places.push((path.into(), index.db));
        }
        Ok(found.into_iter().map(|index| index.name.to_vec()).collect())
    }

    /// Names that stand for two things.
    pub(super) fn collisions(&self, shard: &Shard) -> Vec<Collision> {
        let mut found = Vec::new();
        let mut add = |name: &[u8], text: String| {
            found.push(Collision { name: name.escape_ascii().to_string(), text });
        };
        for (name, files) in self.graphs.iter().filter(|(_, files)| files.len() > 1) {
            add(name, format!("a graph in {}", listed(files.iter())));
        }
        if !self.graphs.is_empty() {
            let all = shard.for_each_key(|k| {
                if self.graphs.contains_key(k.key) {
                    add(k.key, format!("a graph, and a key of database {}", k.db));
                }
                Ok::<(), std::convert::Infallible>(())
            });
            let Ok(()) = all;
        }
        for ((_, name), places) in &self.indexes {
            let files: BTreeSet<&PathBuf> = places.iter().map(|(path, _)| path).collect();
            let databases: BTreeSet<u8> = places.iter().filter_map(|(_, db)| *db).collect();
            if files.len() < places.len() {
                add(name, format!("two indexes in {}", listed(files.into_iter())));
            } else if databases.len() > 1 {
                add(
                    name,
                    format!(
                        "indexes of the databases {databases:?}, a name over all of them there"
                    ),
                );
            }
        }
        found
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn listed<'a>(files: impl Iterator<Item = &'a PathBuf>) -> String {
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    files.join(" and in ")
}
