//! A folder or bucket with one Delta table per subfolder.

use crate::cache::FileCache;
use crate::synced::SyncedFiles;
use crate::{StorageError, Table};
use deltalake::logstore::{
    LogStore, LogStoreFactory, LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    logstore_with,
};
use deltalake::{DeltaResult, DeltaTable, DeltaTableError};
use object_store::ObjectStore;
use object_store::path::Path;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Schemes beyond local files and memory that `object_store` opens and that commit by conditional put.
const REMOTE_SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "adl", "abfs", "abfss", "azure"];

/// Environment variables with these prefixes are credentials and endpoints of the clouds.
const CREDENTIAL_PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// See [`Store::keep_removed_files`].
const REMOVED_FILES_KEPT: Duration = Duration::from_secs(86_400);

/// Where the tables are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// Always ends with a slash.
    url: Url,
    root: Arc<dyn ObjectStore>,
    prefix: Path,
    config: StorageConfig,
    removed_files_kept: Duration,
    cache: Arc<FileCache>,
}

#[derive(Debug)]
struct PlainLogStoreFactory;

impl LogStoreFactory for PlainLogStoreFactory {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

impl Store {
    /// Opens a local folder (made if missing) or an object-store URL (`s3://bucket/prefix`, `gs://`,
    /// `az://`, `memory:///`). `options` are those of the `object_store` crate; credentials are also
    /// taken from the usual environment variables.
    pub fn open(location: &str, options: HashMap<String, String>) -> Result<Self, StorageError> {
        let fail = |reason: String| StorageError::Location { location: location.to_owned(), reason };
        let url = table_root(location).map_err(&fail)?;
        let mut all: HashMap<String, String> = HashMap::new();
        if REMOTE_SCHEMES.contains(&url.scheme()) {
            let credentials = std::env::vars().filter(|(k, _)| CREDENTIAL_PREFIXES.iter().any(|p| k.starts_with(p)));
            all.extend(credentials.map(|(k, v)| (k.to_lowercase(), v)));
        }
        all.extend(options);
        for scheme in REMOTE_SCHEMES {
            if let Ok(key) = Url::parse(&format!("{scheme}://")) {
                logstore_factories().entry(key).or_insert_with(|| Arc::new(PlainLogStoreFactory));
            }
        }
        let (mut root, prefix) = object_store::parse_url_opts(&url, all.iter()).map_err(|e| fail(e.to_string()))?;
        if url.scheme() == "file" {
            root = Box::new(SyncedFiles::new());
        }
        let config = StorageConfig::parse_options(all).map_err(|e| fail(e.to_string()))?;
        let cache = Arc::new(FileCache::new());
        Ok(Self { url, root: Arc::from(root), prefix, config, removed_files_kept: REMOVED_FILES_KEPT, cache })
    }

    /// Opens tables below `url` in a given object store, for tests that inject faults.
    pub fn with_object_store(url: Url, root: Arc<dyn ObjectStore>) -> Result<Self, StorageError> {
        let prefix = Path::from_url_path(url.path())
            .map_err(|e| StorageError::Location { location: url.to_string(), reason: e.to_string() })?;
        let removed_files_kept = REMOVED_FILES_KEPT;
        let cache = Arc::new(FileCache::new());
        Ok(Self { url, root, prefix, config: StorageConfig::default(), removed_files_kept, cache })
    }

    /// For how long tables made from here on remember removed files: the longest that a vacuum may wait
    /// before it deletes them. Default: a day.
    pub fn keep_removed_files(self, time: Duration) -> Self {
        Self { removed_files_kept: time, ..self }
    }

    pub(crate) fn removed_files_kept(&self) -> Duration {
        self.removed_files_kept
    }

    /// What was read of files of all tables.
    pub(crate) fn cache(&self) -> Arc<FileCache> {
        Arc::clone(&self.cache)
    }

    pub(crate) fn root(&self) -> &Arc<dyn ObjectStore> {
        &self.root
    }

    /// Where the tables are within the object store.
    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Where the tables are.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The folder, when it is one of this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// Names of all tables, sorted. An empty or missing folder has none.
    pub async fn table_names(&self) -> Result<Vec<String>, StorageError> {
        let listing = match self.root.list_with_delimiter(Some(&self.prefix)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for folder in listing.common_prefixes {
            if let (Some(name), true) = (folder.filename(), self.has_log(&folder).await?) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The newest version of a table, or `None` when there is no such table.
    pub async fn table(&self, name: &str) -> Result<Option<Table>, StorageError> {
        if !self.has_log(&self.prefix.clone().join(name)).await? {
            return Ok(None);
        }
        let mut delta = DeltaTable::new(self.log_store(name)?);
        load(&mut delta).await.map_err(StorageError::delta(name))?;
        Table::from_delta(self, name, delta).map(Some)
    }

    async fn has_log(&self, folder: &Path) -> Result<bool, StorageError> {
        match self.root.list_with_delimiter(Some(&folder.clone().join("_delta_log"))).await {
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            // A log that is being begun may hold nothing but a file that does not have its name yet.
            other => Ok(other?.objects.iter().any(|o| o.location.filename().is_some_and(|n| !n.starts_with('.')))),
        }
    }

    pub(crate) fn log_store(&self, name: &str) -> Result<LogStoreRef, StorageError> {
        let fail = |reason: String| StorageError::Location { location: name.to_owned(), reason };
        let url = self.url.join(&format!("{name}/")).map_err(|e| fail(e.to_string()))?;
        logstore_with(Arc::clone(&self.root), &url, self.config.clone()).map_err(|e| fail(e.to_string()))
    }
}

/// How often a table is loaded whose log is cleaned meanwhile, before that is an error.
const LOADS_MAX: usize = 10;

/// Loads the newest version. Between the listing of its log and the reading of it a newer checkpoint may take the place
/// of the files that were listed: then it begins anew.
pub(crate) async fn load(delta: &mut DeltaTable) -> DeltaResult<()> {
    for _ in 1..LOADS_MAX {
        match delta.load().await {
            Err(error) if is_of_missing_file(&error) => {
                tracing::debug!(%error, "the log was cleaned while it was read; loading the table anew");
            }
            other => return other,
        }
    }
    delta.load().await
}

/// Commits and checkpoints that are gone come as errors of several libraries, which have no more in common than that
/// they say so.
fn is_of_missing_file(error: &DeltaTableError) -> bool {
    let text = error.to_string();
    ["not found", "NotFound", "No such file"].iter().any(|said| text.contains(said))
}

/// The URL of a location, ending with a slash; a local folder is made if it is missing.
fn table_root(location: &str) -> Result<Url, String> {
    let url = match Url::parse(location) {
        // A one-letter scheme is a Windows drive.
        Ok(url) if url.scheme().len() > 1 => url,
        _ => {
            std::fs::create_dir_all(location).map_err(|e| e.to_string())?;
            let path = std::fs::canonicalize(location).map_err(|e| e.to_string())?;
            Url::from_directory_path(path).map_err(|()| "not a path".to_owned())?
        }
    };
    match url.scheme() {
        "file" => {
            let path = url.to_file_path().map_err(|()| "not a local path".to_owned())?;
            std::fs::create_dir_all(path).map_err(|e| e.to_string())?;
        }
        "memory" => {}
        scheme if REMOTE_SCHEMES.contains(&scheme) => {}
        scheme => {
            return Err(format!(
                "unknown scheme `{scheme}`; a local path, file, memory, {}",
                REMOTE_SCHEMES.join(", ")
            ));
        }
    }
    if url.path().ends_with('/') {
        return Ok(url);
    }
    Url::parse(&format!("{url}/")).map_err(|e| e.to_string())
}
